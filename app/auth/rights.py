"""What users may do: roles, and whether they may sign in at all.

Each change ends the user's sessions, so that no cookie from before it is used after it.
"""

import logging
import uuid

from flask import current_app
from flask_security import PasswordUtil, hash_password
from flask_security.recoverable import generate_reset_link
from sqlalchemy import select

from app.auth import history, mails, sessions, two_factors
from app.auth.models import Role, User
from app.extensions import db
from app.models import utcnow

logger = logging.getLogger(__name__)

ROLES = ("admin",)


class Refused(ValueError):
    """What was asked for is not possible; the text says why."""


def grant(user: User, name: str) -> None:
    """Give `user` a role."""
    if user.has_role(name):
        return
    user.roles.append(_role(name))
    _changed(user, "role_granted", role=name)
    logger.info("User %s has the role %s now", user.id, name)


def revoke(user: User, name: str) -> None:
    """Take a role from `user`."""
    if not user.has_role(name):
        return
    user.roles = [role for role in user.roles if role.name != name]
    _changed(user, "role_revoked", role=name)
    logger.info("User %s has the role %s no more", user.id, name)


def activate(user: User, active: bool) -> None:
    """Let `user` sign in, or not any more."""
    if user.active == active:
        return
    user.active = active
    _changed(user, "activated" if active else "deactivated")
    logger.info("User %s is %s", user.id, "active" if active else "deactivated")


def turn_two_factors_off(user: User) -> None:
    """Let the password alone sign `user` in, who has lost the app and the recovery codes."""
    if not user.has_two_factors:
        return
    two_factors.turn_off(user)
    sessions.end_all(user)
    logger.info("User %s has no second factor any more", user.id)


def create_admin(email: str, password: str | None) -> User:
    """Add a user with the role admin; without a password, a mail with a link to set one.

    The address counts as confirmed. Raises Refused, and ValueError for a malformed address.
    """
    address = current_app.extensions["security"].mail_util.validate(email)
    if db.session.scalar(select(User.id).where(User.email == address)):
        raise Refused(f"{address} has an account already; `flask auth grant` makes it an admin.")
    stored = None if password is None else hash_password(_accepted(password, address))
    user = User(
        email=address,
        password=stored,
        fs_uniquifier=uuid.uuid4().hex,
        active=True,
        confirmed_at=utcnow(),
        roles=[_role("admin")],
    )
    db.session.add(user)
    db.session.flush()
    if password is None:
        link, _ = generate_reset_link(user)
        mails.tell(user, "auth/mail/invited", reset_link=link, **mails.BY_ADMINISTRATOR)
    logger.info("User %s was made, with the role admin", user.id)
    return user


def _changed(user: User, kind: str, **context: str) -> None:
    """End the sessions of `user`, note the change, and tell of it by mail.

    An address that nobody confirmed may be a stranger's, who gets no mail.
    """
    sessions.end_all(user)
    history.record(user, kind)
    if user.confirmed_at:
        mails.tell(user, f"auth/mail/{kind}", **context, **mails.BY_ADMINISTRATOR)


def _accepted(password: str, email: str) -> str:
    """Return the password as it is stored; raises Refused."""
    rules: PasswordUtil = current_app.extensions["security"].password_util
    problems, normal = rules.validate(password, True, email=email)
    if problems:
        raise Refused(" ".join(problems))
    return normal


def _role(name: str) -> Role:
    role = db.session.scalars(select(Role).where(Role.name == name)).one_or_none()
    return role or Role(name=name)
