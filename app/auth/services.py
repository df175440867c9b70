"""The rules of accounts: which addresses are accepted, and when one is forgotten."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import Response, after_this_request, has_request_context
from flask_security import MailUtil
from sqlalchemy import delete, select

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from app.tasks import send_email

UNCONFIRMED_FOR = timedelta(days=30)
BATCH = 500  # users deleted by one statement
LINKS = ("confirmation_link", "recovery_link", "reset_link")


class BackgroundMail(MailUtil):
    """Compares addresses in lower case and lets a worker send the mails."""

    def normalize(self, email: str) -> str:
        """Return `email` as it is stored; raises EmailValidateException when it is malformed."""
        return super().normalize(email).lower()

    def validate(self, email: str) -> str:
        """Return `email` as it is stored; raises EmailValidateException when it is malformed."""
        return super().validate(email).lower()

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
        """Add the mail to the transaction; the worker makes it from `template` and its links.

        Some of the library's views change nothing and so commit nothing: the commit is asked for.
        """
        links = {name: kwargs[name] for name in LINKS if kwargs.get(name)}
        user = kwargs.get("user")
        if user is not None and user.id is None:
            db.session.flush()  # which gives a new user the id that the mail is kept under
        owner = None if user is None else user.id
        send_email.apply_async_on_commit((str(recipient), template, links), owner=owner)
        if has_request_context():
            after_this_request(commit)


def commit(response: Response) -> Response:
    """Commit what the request did, at its end."""
    db.session.commit()
    return response


def forget_unconfirmed() -> int:
    """Delete the accounts nobody confirmed within 30 days, and return how many there were."""
    stale = select(User.id).where(
        User.confirmed_at.is_(None), User.created_at < utcnow() - UNCONFIRMED_FOR
    )
    return remove(db.session.scalars(stale).all())


def remove(user_ids: Sequence[int]) -> int:
    """Delete users with all that is theirs, and return how many there were.

    Foreign keys take their rows along. Their jobs, which are mails to them for the most part, know
    them by `owner` only.
    """
    for start in range(0, len(user_ids), BATCH):
        some = user_ids[start : start + BATCH]
        db.session.execute(delete(Job).where(Job.owner.in_([str(number) for number in some])))
        db.session.execute(delete(User).where(User.id.in_(some)))
    return len(user_ids)
