"""What happens to accounts is logged: who, by the user's id, never the address or a secret."""

import logging
from typing import Any

import flask_login
import flask_security
from flask import Flask, abort

from app.auth import history, services
from app.auth.models import User

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Log the events of `app`."""
    for signal, receiver in (
        (flask_security.user_registered, signed_up),
        (flask_security.user_not_registered, signed_up_again),
        (flask_security.user_confirmed, confirmed),
        (flask_security.user_authenticated, signed_in),
        (flask_security.user_failed_authn, failed_to_sign_in),
        (flask_login.user_logged_out, signed_out),
        (flask_security.reset_password_instructions_sent, asked_for_reset),
        (flask_security.password_reset, password_reset),
        (flask_security.password_changed, password_changed),
        (flask_security.wan_registered, passkey_added),
        (flask_security.wan_deleted, passkey_removed),
        (flask_security.change_email_instructions_sent, asked_for_address),
    ):
        signal.connect(receiver, app)


def signed_up(_: Flask, user: User, **__: Any) -> None:
    """Log a new account, or one that nobody had confirmed and that begins anew."""
    logger.info("User %s signed up", user.id)


def signed_up_again(_: Flask, user: User, **__: Any) -> None:
    """Log an attempt to register an address that has an account."""
    logger.info("User %s was asked to sign up again", user.id)


def confirmed(_: Flask, user: User, **__: Any) -> None:
    """Log a confirmed address; answer 409 if the password behind it is not that of its mail."""
    if services.was_begun_anew(user):
        abort(409, "Somebody signed up with this address just now. Open the link of the last mail.")
    logger.info("User %s confirmed the address", user.id)


def signed_in(_: Flask, user: User, authn_via: list[str] | None = None, **__: Any) -> None:
    """Log a sign-in; staying signed in after a change is none."""
    if authn_via != history.NO_SIGN_IN:
        logger.info("User %s signed in", user.id)


def failed_to_sign_in(_: Flask, user: User, auth_type: str = "password", **__: Any) -> None:
    """Log a wrong password, code or passkey."""
    logger.warning("Wrong %s for user %s", auth_type, user.id)


def unknown_address() -> None:
    """Log a sign-in with an address that has no account; many of them are somebody guessing."""
    logger.warning("Sign-in with an unknown address")


def not_confirmed(user: User) -> None:
    """Log a right password for an account whose address is not confirmed."""
    logger.warning("User %s could not sign in: the address is not confirmed", user.id)


def deactivated(user: User) -> None:
    """Log a right password for an account that was deactivated."""
    logger.warning("User %s could not sign in: the account is deactivated", user.id)


def signed_out(_: Flask, user: User, **__: Any) -> None:
    """Log a sign-out; confirming an address signs out too, nobody as a rule."""
    if user.is_authenticated:
        logger.info("User %s signed out", user.id)


def asked_for_reset(_: Flask, user: User, **__: Any) -> None:
    """Log a request for a new password."""
    logger.info("User %s asked for a new password", user.id)


def password_reset(_: Flask, user: User, **__: Any) -> None:
    """Log a new password."""
    logger.info("User %s set a new password", user.id)


def password_changed(_: Flask, user: User, **__: Any) -> None:
    """Log a changed password."""
    logger.info("User %s changed the password", user.id)


def asked_for_address(_: Flask, user: User, **__: Any) -> None:
    """Log a request for another address."""
    logger.info("User %s asked for another address", user.id)


def address_changed(user: User) -> None:
    """Log a changed address."""
    logger.info("User %s changed the address", user.id)


def address_taken_back(user: User) -> None:
    """Log an address that its owner took back."""
    logger.warning("User %s took the old address back", user.id)


def two_factors_changed(user: User, what: str) -> None:
    """Log what `user` did with the second factor."""
    logger.info("User %s %s", user.id, what)


def passkey_added(_: Flask, user: User, **__: Any) -> None:
    """Log a new passkey."""
    logger.info("User %s added a passkey", user.id)


def passkey_removed(_: Flask, user: User, **__: Any) -> None:
    """Log a passkey that is gone."""
    logger.info("User %s removed a passkey", user.id)
