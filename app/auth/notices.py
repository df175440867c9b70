"""Mails that tell people what was changed in their account, when and from where.

Each is written in the transaction of the change itself, so that there is none without the other.
"""

from typing import Any

import flask_security
from flask import Flask

from app.auth import mails
from app.auth.models import User


def init_app(app: Flask) -> None:
    """Tell the users of `app` of changes that the library makes."""
    flask_security.password_changed.connect(password_changed, app)
    flask_security.wan_registered.connect(passkey_added, app)
    flask_security.wan_deleted.connect(passkey_removed, app)


def password_changed(_: Flask, user: User, **__: Any) -> None:
    """Tell of a password that was changed by someone who was signed in."""
    mails.tell(user, "auth/mail/new_password")


def passkey_added(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a new passkey."""
    mails.tell(user, "auth/mail/passkey_added", name=name)


def passkey_removed(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a passkey that is gone."""
    mails.tell(user, "auth/mail/passkey_removed", name=name)
