"""Users and their roles."""

# The library's mixins declare plain attributes where a mapped class has descriptors.
# pyright: reportIncompatibleVariableOverride=false

from datetime import datetime

from flask import has_request_context, request
from flask_security import RoleMixin, UserMixin
from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import db
from app.models import Base, Timestamps, UTCDateTime, utcnow

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
    display_name: Mapped[str | None] = mapped_column(String(80))
    theme: Mapped[str] = mapped_column(String(10), default="system")
    # When this user asked for the account to be deleted; see deletion.py.
    deletion_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Wrong passwords since the last sign-in, and until when none is accepted; see lockout.py.
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    roles: Mapped[list[Role]] = relationship(secondary=roles_users, back_populates="users")

    def is_locked(self, form_error: list[str] | None = None) -> bool:
        """Tell whether no sign-in is accepted now, not even with the right password.

        The library asks this when the password was right; its own generic answer then replaces
        what is put into `form_error`. A link to a new password is mailed all the same, so that
        nobody can shut a person out by guessing.
        """
        if has_request_context() and request.endpoint == "security.forgot_password":
            return False
        # Read anew: others may have guessed while this password was compared.
        db.session.refresh(self, ["locked_until"])
        locked = self.locked_until is not None and self.locked_until > utcnow()
        if locked and form_error is not None:
            form_error.append("No sign-in is accepted now.")
        return locked
