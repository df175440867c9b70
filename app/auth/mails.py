"""Mails that tell people what happened to their account: when, from where, in their language.

Each is written in the transaction of what it tells of, so that there is none without the other.
"""

from typing import Any

import flask_security
from flask import Flask, has_request_context, request

from app.auth import devices, languages
from app.auth.models import User
from app.models import utcnow
from app.tasks import send_email

# What an administrator did: from where is not the user's business.
BY_ADMINISTRATOR = {"device": None, "address": None}


def init_app(app: Flask) -> None:
    """Tell the users of `app` of changes that the library makes."""
    flask_security.password_changed.connect(password_changed, app)
    flask_security.wan_registered.connect(passkey_added, app)
    flask_security.wan_deleted.connect(passkey_removed, app)


def tell(user: User, template: str, to: str | None = None, **context: Any) -> None:
    """Add the mail that `template` makes of `context` and the circumstances to the transaction.

    It goes to the address `to`, by default the user's own, and away with the user.
    """
    arguments = (to or user.email, template, {**circumstances(user.language), **context})
    send_email.apply_async_on_commit(arguments, {"language": user.language}, owner=user.id)


def circumstances(language: str) -> dict[str, str | None]:
    """Return when this is, and from where, in words for a mail.

    Where there is no visitor, it is an administrator with a command.
    """
    if not has_request_context():
        return {"when": languages.moment(utcnow(), language), **BY_ADMINISTRATOR}
    return {
        "when": languages.moment(utcnow(), language),
        "device": devices.describe(request.user_agent.string, language),
        "address": request.remote_addr,
    }


def password_changed(_: Flask, user: User, **__: Any) -> None:
    """Tell of a password that was changed by someone who was signed in."""
    tell(user, "auth/mail/new_password")


def passkey_added(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a new passkey."""
    tell(user, "auth/mail/passkey_added", name=name)


def passkey_removed(_: Flask, user: User, name: str, **__: Any) -> None:
    """Tell of a passkey that is gone."""
    tell(user, "auth/mail/passkey_removed", name=name)
