"""Wrong passwords: after a few, an account accepts no sign-in for a while, and each time longer."""

import logging
from datetime import datetime, timedelta
from typing import Any

import flask_security
from flask import Flask, after_this_request, has_request_context
from sqlalchemy import case, update

from app.auth import history, mails, services
from app.auth.models import User
from app.extensions import db
from app.models import utcnow

logger = logging.getLogger(__name__)

TRIES = 5  # wrong passwords before the first wait
FIRST_WAIT = timedelta(minutes=1)  # doubled by each wrong password after a wait
LONGEST_WAIT = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=1)  # since the last wait ended, counting starts anew


def init_app(app: Flask) -> None:
    """Count what fails at `app`, and forget it when somebody has proved who they are."""
    flask_security.user_failed_authn.connect(on_failure, app)
    flask_security.user_authenticated.connect(on_proof, app)
    flask_security.password_reset.connect(on_reset, app)


def on_failure(_: Flask, user: User, **__: Any) -> None:
    """Count a wrong password and keep the count, although the request as such is refused."""
    count_failure(user)
    if has_request_context():
        after_this_request(services.commit)


def on_proof(_: Flask, user: User, **__: Any) -> None:
    """Forget wrong passwords and codes after a sign-in."""
    unlock(user)


def on_reset(_: Flask, user: User, **__: Any) -> None:
    """End the wait after a new password set by a link, which is no proof of a second factor.

    Its wrong codes still count: otherwise whoever reads the mails could go on guessing.
    """
    if not user.has_two_factors:
        unlock(user)
    elif user.is_locked():
        user.locked_until = utcnow()


def wait_after(failures: int) -> timedelta:
    """Return how long no sign-in is accepted after so many wrong passwords."""
    if failures < TRIES:
        return timedelta(0)
    return min(FIRST_WAIT * 2 ** min(failures - TRIES, 20), LONGEST_WAIT)


def count_failure(user: User, now: datetime | None = None) -> None:
    """Count one wrong password for `user`, start a wait if it is one too many, and tell by mail.

    Passwords tried during a wait are not counted: otherwise whoever goes on guessing could make it
    last for ever. The mail goes out with the first wait only.
    """
    now = now or utcnow()
    fresh = (User.locked_until < now - FORGOTTEN_AFTER, 1)
    # One statement, so that guesses made at the same time are all counted.
    counted = db.session.scalar(
        update(User)
        .where(User.id == user.id, User.locked_until.is_(None) | (User.locked_until <= now))
        .values(failed_sign_ins=case(fresh, else_=User.failed_sign_ins + 1))
        .returning(User.failed_sign_ins)
        .execution_options(synchronize_session=False)
    )
    db.session.expire(user, ["failed_sign_ins", "locked_until"])
    if counted is None or counted < TRIES:
        return
    wait = wait_after(counted)
    user.locked_until = now + wait
    history.record(user, "locked")
    logger.warning("User %s is locked for %d s", user.id, wait.total_seconds())
    if counted == TRIES and user.confirmed_at:
        mails.tell(user, "auth/mail/locked", tries=TRIES)


def unlock(user: User) -> None:
    """Accept the next sign-in of `user` without a wait."""
    if user.failed_sign_ins or user.locked_until:
        user.failed_sign_ins = 0
        user.locked_until = None
