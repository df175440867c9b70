"""What happens to accounts is logged: who, by the user's id, never the address or a secret."""

import logging
from typing import Any

import flask_login
import flask_security
from flask import Flask, abort

from app.auth import services
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


def signed_in(_: Flask, user: User, **__: Any) -> None:
    """Log a sign-in."""
    logger.info("User %s signed in", user.id)


def failed_to_sign_in(_: Flask, user: User, **__: Any) -> None:
    """Log a wrong password."""
    logger.warning("Wrong password for user %s", user.id)


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
