"""The security log: sign-ins and changes of an account, shown to its owner; new devices by mail."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import flask_security
from flask import (
    Flask,
    Response,
    after_this_request,
    current_app,
    has_request_context,
    request,
)
from flask_security import signals
from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from app.auth import devices, mails
from app.auth.models import User
from app.extensions import db
from app.models import Base, UTCDateTime, utcnow

KEPT_FOR = timedelta(days=365)
COOKIE = "device"  # a random value that says only: this browser has been here before
COOKIE_LENGTH = 64  # characters; more did not come from here
SIGNED_IN = "signed_in"
NO_SIGN_IN = ["change"]  # how the library signs in anew after a change of the password
WORDS = {
    SIGNED_IN: "Signed in",
    "password_changed": "Password changed",
    "email_changed": "Address changed",
    "two_factors_changed": "Second factor set up",
    "two_factors_off": "Second factor removed",
    "recovery_codes_new": "New recovery codes made",
    "recovery_code_used": "Recovery code used",
    "passkey_added": "Passkey added",
    "passkey_removed": "Passkey removed",
    "locked": "Locked for wrong passwords",
    "role_granted": "Role given",
    "role_revoked": "Role taken away",
    "deactivated": "Deactivated",
    "activated": "Activated",
    "deletion_begun": "Deletion of the account begun",
    "deletion_undone": "Deletion of the account undone",
}


class SecurityEvent(Base):
    """Something that happened to an account, and from where."""

    __tablename__ = "security_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    device: Mapped[str | None] = mapped_column(String(80))
    address: Mapped[str | None] = mapped_column(String(45))
    # A digest of the cookie, so that a copy of the database lets nobody pass for a known device.
    device_key: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)

    @property
    def words(self) -> str:
        """What happened, for people."""
        return WORDS.get(self.kind, self.kind)


def init_app(app: Flask) -> None:
    """Record what happens to the accounts of `app`."""
    flask_security.user_authenticated.connect(on_sign_in, app)
    for signal, kind in (
        (signals.password_reset, "password_changed"),
        (signals.password_changed, "password_changed"),
        (signals.change_email_confirmed, "email_changed"),
        (signals.tf_profile_changed, "two_factors_changed"),
        (signals.tf_disabled, "two_factors_off"),
        (signals.wan_registered, "passkey_added"),
        (signals.wan_deleted, "passkey_removed"),
    ):
        # Signals forget receivers that nobody else holds.
        signal.connect(_recorder(kind), app, weak=False)


def _recorder(kind: str) -> Callable[..., None]:
    def receive(_: Flask, user: User, **__: Any) -> None:
        record(user, kind)

    return receive


def record(user: User, kind: str, device_key: str | None = None) -> None:
    """Add a line to the security log of `user`."""
    visited = has_request_context()
    db.session.add(
        SecurityEvent(
            user_id=user.id,
            kind=kind,
            device=devices.describe(request.user_agent.string) if visited else None,
            address=request.remote_addr if visited else None,
            device_key=device_key,
        )
    )


def on_sign_in(_: Flask, user: User, authn_via: list[str] | None = None, **__: Any) -> None:
    """Record a sign-in, and tell its owner by mail if it is the first from this browser.

    After a change of the password or the address a browser stays signed in; that is none.
    """
    if authn_via == NO_SIGN_IN:
        return
    secure = current_app.config["SESSION_COOKIE_SECURE"]
    name = f"__Host-{COOKIE}" if secure else COOKIE
    cookie = request.cookies.get(name, "")
    if not cookie or len(cookie) > COOKIE_LENGTH:
        cookie = secrets.token_urlsafe(24)
    key = hashlib.sha256(cookie.encode()).hexdigest()
    before = select(SecurityEvent.id).where(
        SecurityEvent.user_id == user.id, SecurityEvent.kind == SIGNED_IN
    )
    known = before.where(SecurityEvent.device_key == key)
    if db.session.scalar(before.limit(1)) and not db.session.scalar(known.limit(1)):
        mails.tell(user, "auth/mail/new_device")
    record(user, SIGNED_IN, key)

    def remember(response: Response) -> Response:
        response.set_cookie(
            name,
            cookie,
            max_age=KEPT_FOR,
            httponly=True,
            samesite="Lax",
            secure=secure,
        )
        return response

    after_this_request(remember)


def happened(user: User, kind: str, since: datetime) -> bool:
    """Tell whether the security log of `user` has a line of this kind that is not older."""
    lines = select(SecurityEvent.id).where(
        SecurityEvent.user_id == user.id,
        SecurityEvent.kind == kind,
        SecurityEvent.created_at >= since,
    )
    return db.session.scalar(lines.limit(1)) is not None


def of(user: User, limit: int = 50) -> Sequence[SecurityEvent]:
    """Return the newest lines of the security log of `user`, newest first."""
    own = select(SecurityEvent).where(SecurityEvent.user_id == user.id)
    return db.session.scalars(own.order_by(SecurityEvent.id.desc()).limit(limit)).all()


def forget_old() -> int:
    """Delete lines that are older than a year, and return how many there were."""
    old = delete(SecurityEvent).where(SecurityEvent.created_at < utcnow() - KEPT_FOR)
    return len(db.session.scalars(old.returning(SecurityEvent.id)).all())
