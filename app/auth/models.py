"""Users and their roles."""

# The library's mixins declare plain attributes where a mapped class has descriptors.
# pyright: reportIncompatibleVariableOverride=false

from datetime import datetime

from flask import has_request_context, request
from flask_security import RoleMixin, UserMixin, WebAuthnMixin
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import db
from app.models import Base, Timestamps, UTCDateTime, utcnow

# A link to a new password, which comes by mail, and passkeys: no wait holds them up.
NOT_GUESSED = (
    "security.forgot_password",
    "security.wan_signin_response",
    "security.wan_verify_response",
)

roles_users = Table(
    "roles_users",
    Base.metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
)


class Role(Base, RoleMixin):
    """What its users may do besides what everybody may."""

    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    users: Mapped[list["User"]] = relationship(secondary=roles_users, back_populates="roles")


class User(Base, Timestamps, UserMixin):
    """A person with an account. The address is stored in lower case."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    password: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # What a session cookie names instead of the id: a new value ends every session.
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    # The second factor: the method, the secret (encrypted), and the last 30 seconds whose code was
    # used. The names of the first two are the library's.
    tf_primary_method: Mapped[str | None] = mapped_column(String(64))
    tf_totp_secret: Mapped[str | None] = mapped_column(String(255))
    totp_counter: Mapped[int | None] = mapped_column(BigInteger)
    display_name: Mapped[str | None] = mapped_column(String(80))
    language: Mapped[str] = mapped_column(String(10), default="en")  # of mails; see languages.py
    theme: Mapped[str] = mapped_column(String(10), default="system")
    # When this user asked for the account to be deleted; see deletion.py.
    deletion_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Wrong passwords since the last sign-in, and until when none is accepted; see lockout.py.
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # What a passkey calls the user; it says nothing about who that is.
    fs_webauthn_user_handle: Mapped[str | None] = mapped_column(String(64), unique=True)
    webauthn: Mapped[list["Passkey"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )
    roles: Mapped[list[Role]] = relationship(secondary=roles_users, back_populates="users")

    @property
    def has_two_factors(self) -> bool:
        """Whether a code of an app is asked for after the password."""
        return bool(self.tf_primary_method and self.tf_totp_secret)

    def verify_and_update_password(self, password: str) -> bool:
        """Tell whether `password` is right; no one is for a user who has none."""
        return self.password is not None and super().verify_and_update_password(password)

    def is_locked(self, form_error: list[str] | None = None) -> bool:
        """Tell whether no sign-in is accepted now, not even with the right password.

        The library asks this when the password was right; its own generic answer then replaces
        what is put into `form_error`. What cannot be guessed is taken all the same, so that nobody
        can shut a person out by guessing.
        """
        if has_request_context() and request.endpoint in NOT_GUESSED:
            return False
        # Read anew: others may have guessed while this password was compared.
        db.session.refresh(self, ["locked_until"])
        locked = self.locked_until is not None and self.locked_until > utcnow()
        if locked and form_error is not None:
            form_error.append("No sign-in is accepted now.")
        return locked


class RecoveryCode(Base):
    """A code that signs a user in once when the app with the other codes is lost."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))


class Passkey(Base, WebAuthnMixin):
    """The public half of a key in a device of a user's; the library names its columns."""

    __tablename__ = "passkeys"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    user: Mapped[User] = relationship(back_populates="webauthn")
    name: Mapped[str] = mapped_column(String(64))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1024), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str] | None] = mapped_column(JSON)
    extensions: Mapped[str | None] = mapped_column(String(255))
    device_type: Mapped[str] = mapped_column(String(64))
    backup_state: Mapped[bool]
    usage: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    lastuse_datetime: Mapped[datetime] = mapped_column(UTCDateTime)


class AddressChange(Base):
    """An address that a user had before; for some days it can be taken back."""

    __tablename__ = "address_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    old_email: Mapped[str] = mapped_column(String(255))
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    undone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
