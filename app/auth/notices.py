"""Mails that tell people what was changed in their account, when and from where.

Each is written in the transaction of the change itself, so that there is none without the other.
"""

from typing import Any

import flask_security
from flask import Flask, request

from app.auth.models import User
from app.models import utcnow
from app.tasks import send_email


def init_app(app: Flask) -> None:
    """Tell the users of `app` of changes that the library makes."""
    flask_security.password_changed.connect(password_changed, app)
    flask_security.wan_registered.connect(passkey_added, app)
    flask_security.wan_deleted.connect(passkey_removed, app)


def tell(to: str, template: str, **context: Any) -> None:
    """Add the mail to the transaction; its template gets `when` and `where` besides `context`."""
    when = f"{utcnow():%d %B %Y, %H:%M} UTC"
    where = request.remote_addr or "an unknown address"
    send_email.delay_on_commit(to, template, {"when": when, "where": where, **context})


def password_changed(_: Flask, user: User, **__: Any) -> None:
    """Tell of a password that was changed by someone who was signed in."""
    tell(user.email, "auth/mail/new_password")


def passkey_added(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a new passkey."""
    tell(user.email, "auth/mail/passkey_added", name=name)


def passkey_removed(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a passkey that is gone."""
    tell(user.email, "auth/mail/passkey_removed", name=name)
