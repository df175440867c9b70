"""Sensitive steps are for those who proved lately who they are."""

from flask import current_app
from flask_security import auth_required

from app.core.access import View, state


def fresh(view: View) -> View:
    """Let only members reach `view` who gave their password within SECURITY_FRESHNESS.

    Others are asked for it, and led back.
    """
    guard = auth_required("session", within=lambda: current_app.config["SECURITY_FRESHNESS"])
    return state(guard(view), "members")
