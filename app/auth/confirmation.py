"""Confirming an address: one click where one signed up, a password chosen anew everywhere else.

Whoever signs up last before the confirmation sets the password, and that may be somebody who does
not read the mails of the address. Their owner's click must not confirm a stranger's password.
"""

import hashlib
import secrets
from functools import wraps
from typing import Any

import flask_security
from flask import Flask, flash, redirect, session, url_for
from flask_security.confirmable import confirm_email_token_status, confirm_user
from flask_security.recoverable import generate_reset_password_token

from app.auth.models import User
from app.core.access import View

SIGNED_UP = "signed_up"  # in the session: a salt, and which sign-up was made in this browser


def init_app(app: Flask) -> None:
    """Follow who signs up at `app`, and confirm with a new password too."""
    flask_security.user_registered.connect(on_sign_up, app)
    flask_security.user_not_registered.connect(on_sign_up, app)
    flask_security.password_reset.connect(on_reset, app)


def on_sign_up(_: Flask, user: User, **__: Any) -> None:
    """Note in this browser which sign-up is its own.

    A visitor can read the session. So an address that has an account leaves there what looks the
    same, and a sign-up that was sent twice what looks different.
    """
    sign_up = secrets.token_hex() if user.confirmed_at else user.fs_uniquifier
    salt = secrets.token_hex(16)
    session[SIGNED_UP] = (salt, digest(salt, sign_up))


def on_reset(_: Flask, user: User, **__: Any) -> None:
    """Confirm the address too: whoever had the link to a new password reads its mails."""
    confirm_user(user)


def guard(view: View) -> View:
    """Let the links of `view` confirm here what was signed up here.

    In another browser they lead to the page where a password is chosen.
    """

    @wraps(view)
    def answer(token: str) -> Any:
        user: Any
        _, invalid, user = confirm_email_token_status(token)
        if user is None or invalid or user.confirmed_at or is_own(user):
            return view(token=token)
        flash(
            "You signed up in another browser, or somebody else did. "
            "Choose the password here; then your address is confirmed as well.",
            "info",
        )
        token = generate_reset_password_token(user)
        return redirect(url_for("security.reset_password", token=token))

    return answer


def is_own(user: User) -> bool:
    """Tell whether the last sign-up of `user` was made in this browser."""
    salt, kept = session.get(SIGNED_UP, ("", ""))
    return secrets.compare_digest(kept, digest(salt, user.fs_uniquifier))


def digest(salt: str, sign_up: str) -> str:
    """Return what the session keeps of a sign-up, which each new one gives another name."""
    return hashlib.sha256(f"{salt}{sign_up}".encode()).hexdigest()
