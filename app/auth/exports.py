"""What is kept about a user, as a ZIP of JSON that its owner can take away for a day.

The file is in the database, because a worker on one host makes it and a web server on another
hands it out.
"""

import io
import json
import logging
import uuid
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import ForeignKey, LargeBinary, Uuid, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from app.auth import history, languages, mails, sessions
from app.auth.models import AddressChange, User
from app.extensions import db
from app.jobs.models import OPEN, Job
from app.models import Base, UTCDateTime, utcnow

logger = logging.getLogger(__name__)

GOOD_FOR = timedelta(hours=24)
Section = Callable[[User], Any]


class Export(Base):
    """A copy of a user's data; without `content` while the worker has not made it."""

    __tablename__ = "exports"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)
    ready_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    @property
    def job_key(self) -> str:
        """The `dedupe_key` of the job that makes it."""
        return f"export:{self.id}"

    @property
    def ends_at(self) -> datetime:
        """When it can be fetched no more."""
        return (self.ready_at or self.created_at) + GOOD_FOR


def init_app(app: Flask) -> None:
    """Export what this feature keeps about the users of `app`."""
    app.extensions["exports"] = {}
    add_section(app, "account", account)
    add_section(
        app, "sessions", lambda user: [_columns(row, _SESSION) for row in sessions.of(user)]
    )
    add_section(
        app,
        "security_log",
        lambda user: [_columns(row, _EVENT) for row in history.of(user, limit=10_000)],
    )
    add_section(app, "passkeys", lambda user: [_columns(row, _PASSKEY) for row in user.webauthn])
    add_section(app, "addresses", addresses)
    add_section(app, "jobs", jobs)


def add_section(app: Flask, name: str, section: Section) -> None:
    """Let each export of `app` have a file `NAME.json` with what `section(user)` returns."""
    app.extensions["exports"][name] = section


_ACCOUNT = (
    *("email", "display_name", "language", "theme"),
    *("confirmed_at", "created_at", "deletion_asked_at"),
)
_SESSION = ("device", "address", "created_at", "last_seen_at")
_EVENT = ("kind", "device", "address", "created_at")
_PASSKEY = ("name", "created_at", "lastuse_datetime")
_ADDRESS = ("old_email", "changed_at", "undone_at")
_JOB = ("task", "state", "created_at", "finished_at")


def account(user: User) -> dict[str, Any]:
    """Return the user's own row; no password and no identifier, which open doors."""
    return {**_columns(user, _ACCOUNT), "roles": [role.name for role in user.roles]}


def jobs(user: User) -> list[dict[str, Any]]:
    """Return what was done for the user in the background."""
    own = select(Job).where(Job.owner == str(user.id)).order_by(Job.created_at)
    return [_columns(job, _JOB) for job in db.session.scalars(own)]


def addresses(user: User) -> list[dict[str, Any]]:
    """Return the addresses that the user had before and can still take back."""
    own = select(AddressChange).where(AddressChange.user_id == user.id)
    return [_columns(row, _ADDRESS) for row in db.session.scalars(own)]


def _columns(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def order(user: User) -> Export:
    """Add an export that is to be made; while one is under way, return that."""
    waiting = [export for export in of(user) if export.ready_at is None]
    if waiting:
        return waiting[0]
    export = Export(id=uuid.uuid4(), user_id=user.id)
    db.session.add(export)
    logger.info("User %s asked for an export", user.id)
    return export


def make(export_id: uuid.UUID, link: str, asked: dict[str, Any]) -> None:
    """Fill an export, and mail its owner where it is; nothing if either is gone meanwhile.

    `asked` are the circumstances in which somebody asked for it.
    """
    export = db.session.get(Export, export_id)
    user = db.session.get(User, export.user_id) if export else None
    if export is None or user is None or export.ready_at:
        return
    export.content = packed(user)
    export.ready_at = utcnow()
    until = languages.moment(export.ends_at, user.language)
    mails.tell(user, "auth/mail/export_ready", link=link, until=until, **asked)


def packed(user: User) -> bytes:
    """Return the ZIP file of what is kept about `user`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, section in current_app.extensions["exports"].items():
            text = json.dumps(section(user), indent=2, ensure_ascii=False, default=str)
            archive.writestr(f"{name}.json", text)
    return file.getvalue()


def of(user: User) -> Sequence[Export]:
    """Return the exports of `user` that can be fetched, or soon can, newest first."""
    own = select(Export).where(Export.user_id == user.id).order_by(Export.created_at.desc())
    return [
        export
        for export in db.session.scalars(own)
        if export.ends_at > utcnow() and (export.ready_at or is_under_way(export))
    ]


def is_under_way(export: Export) -> bool:
    """Tell whether a worker will make it: its job may be dead, or cancelled."""
    own = (Job.dedupe_key == export.job_key) & Job.state.in_(OPEN)
    return db.session.scalar(select(Job.id).where(own)) is not None


def content_of(user: User, export_id: uuid.UUID) -> bytes | None:
    """Return the file, None unless it is the user's own, ready and not over."""
    export = next((export for export in of(user) if export.id == export_id), None)
    return export.content if export else None


def forget_old() -> int:
    """Delete the exports that can be fetched no more, and return how many there were."""
    over = utcnow() - GOOD_FOR
    old = delete(Export).where(
        (Export.ready_at < over) | (Export.ready_at.is_(None) & (Export.created_at < over))
    )
    return len(db.session.scalars(old.returning(Export.id)).all())
