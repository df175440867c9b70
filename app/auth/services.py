"""The rules of accounts: which addresses are accepted, and when one is forgotten."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Response, after_this_request, has_request_context
from flask_security import (
    EmailValidateException,
    MailUtil,
    SQLAlchemyUserDatastore,
    hash_password,
    verify_password,
)
from sqlalchemy import ColumnElement, delete, select, update

from app.auth import mails
from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow

UNCONFIRMED_FOR = timedelta(days=30)
SENT_TWICE_WITHIN = timedelta(minutes=1)
NOT_PLAIN = (
    "Before the @ only plain letters, digits and signs are possible: a to z, without accents. "
    "Use another address."
)
LINKS = ("confirmation_link", "recovery_link", "reset_link", "link")


class Accounts(SQLAlchemyUserDatastore):
    """Users, among whom an account that nobody has confirmed is nobody's yet."""

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> Any:
        """Return a user by one attribute.

        Addresses are stored in small letters, so the index of the column finds them. To compare in
        small letters, as the library asks for, would be to read every row.
        """
        if kwargs.get("email"):
            kwargs["email"] = kwargs["email"].lower()
        return super().find_user(**kwargs)

    def create_user(self, **kwargs: Any) -> User:
        """Return a new user, or the unconfirmed one of that address, begun anew.

        Whoever signs up last before the confirmation sets the password, and the links of earlier
        mails are void: nobody can choose a password beforehand for the owner of the address. The
        condition is part of the statement, for the address may be confirmed at this very moment.

        Raises IntegrityError if the address has an account, before anything is told to the visitor.
        """
        begin_anew = (
            update(User)
            .where(User.email == kwargs["email"], User.confirmed_at.is_(None))
            .values(password=kwargs["password"], fs_uniquifier=uuid.uuid4().hex)
            .values(created_at=utcnow())
            .returning(User)
            .execution_options(populate_existing=True)
        )
        user: Any = db.session.scalar(begin_anew)
        if user is None:
            user = super().create_user(**kwargs)
            db.session.flush()
        return user


def is_sent_twice(user: User | None, password: str) -> bool:
    """Tell whether this is the sign-up of a moment ago, sent again by a double click.

    It takes as long when there is nothing to compare with: otherwise the wait would tell that
    somebody signed up with the address just now.
    """
    just_now = user is not None and user.created_at > utcnow() - SENT_TWICE_WITHIN
    if user is None or not just_now or user.password is None:
        hash_password(password)
        return False
    return verify_password(password, user.password)


def was_begun_anew(user: User) -> bool:
    """Tell whether another request began the account anew since this one read it.

    From here to the commit nobody can: the flush took the lock of the row.
    """
    known = user.fs_uniquifier
    db.session.flush()
    return db.session.scalar(select(User.fs_uniquifier).where(User.id == user.id)) != known


class BackgroundMail(MailUtil):
    """Compares addresses in lower case and lets a worker send the mails."""

    def normalize(self, email: str) -> str:
        """Return `email` as it is stored; raises EmailValidateException when it is malformed."""
        return self._explained(super().normalize, email)

    def validate(self, email: str) -> str:
        """Return `email` as it is stored; raises EmailValidateException when it is malformed."""
        return self._explained(super().validate, email)

    def _explained(self, check: Callable[[str], str], email: str) -> str:
        try:
            return check(email.strip()).lower()
        except EmailValidateException:
            local, at, domain = email.strip().partition("@")
            if at and domain and local.isprintable() and not local.isascii():
                raise EmailValidateException(NOT_PLAIN) from None
            raise

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str | tuple[str, str],
        sender: str | tuple[str, str],
        body: str | None,
        html: str | None,
        **kwargs: Any,
    ) -> None:
        """Add the mail to the transaction; a worker makes it from `template` and its links.

        Some of the library's views change nothing and so commit nothing: the commit is asked for.
        """
        links = {name: kwargs[name] for name in LINKS if kwargs.get(name)}
        mails.tell(kwargs["user"], template, to=str(recipient), **links)
        if has_request_context():
            after_this_request(commit)


def commit(response: Response) -> Response:
    """Commit what the request did, at its end."""
    db.session.commit()
    return response


def forget_unconfirmed() -> int:
    """Delete the accounts nobody confirmed within 30 days, and return how many there were."""
    old = User.created_at < utcnow() - UNCONFIRMED_FOR
    return remove(User.confirmed_at.is_(None) & old)


def remove(condition: ColumnElement[bool]) -> int:
    """Delete the users of whom `condition` is true, with all that is theirs; return how many.

    The condition is part of the statement, for it may become false at this very moment. Foreign
    keys take their rows along. Jobs, which are mails for the most part, know them by `owner` only.
    """
    removed = db.session.scalars(delete(User).where(condition).returning(User.id)).all()
    for user_id in removed:
        db.session.execute(delete(Job).where(Job.owner == str(user_id)))
    return len(removed)
