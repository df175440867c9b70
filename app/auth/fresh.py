"""Who has to sign in, or for a sensitive step prove lately who they are, is asked and led back."""

from typing import Any
from urllib.parse import urlsplit

from flask import current_app, flash, redirect, request, url_for
from flask_security import Security, auth_required
from werkzeug.wrappers import Response

from app.auth.settings import MESSAGES
from app.core.access import View, state


def init_app(security: Security) -> None:
    """Ask in place of the library, which leads back to where a form was sent."""
    security.unauthn_handler(ask_to_sign_in)
    security.login_manager.unauthorized_handler(ask_to_sign_in)
    security.reauthn_handler(ask_again)


def fresh(view: View) -> View:
    """Let only members reach `view` who gave their password within SECURITY_FRESHNESS.

    Others are asked for it, and led back.
    """
    guard = auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"])
    return state(guard(view), "members")


def ask_to_sign_in(*_: Any, **__: Any) -> Response:
    """Lead to the sign-in."""
    flash(*MESSAGES["MSG_UNAUTHENTICATED"])
    return redirect(url_for("security.login", next=way_back()))


def ask_again(*_: Any, **__: Any) -> Response:
    """Lead to where one proves anew who one is."""
    flash(*MESSAGES["MSG_REAUTHENTICATION_REQUIRED"])
    return redirect(url_for("security.verify", next=way_back()))


def way_back() -> str:
    """Return the page that was asked for, or that of the form if nobody can open where it leads."""
    rule = request.url_rule
    opens = rule is not None and "GET" in (rule.methods or ())
    page = urlsplit(request.url if opens else request.referrer or "")
    if page.netloc != request.host:
        return url_for("auth.account")
    return page._replace(scheme="", netloc="").geturl()
