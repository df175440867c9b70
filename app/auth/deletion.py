"""Deleting an account: its owner asks for it, and has a week to change their mind."""

import logging
from datetime import datetime, timedelta
from typing import Any

import flask_security
from flask import Flask, flash, url_for
from markupsafe import Markup

from app.auth import history, languages, mails, services, sessions
from app.auth.models import User
from app.models import utcnow

logger = logging.getLogger(__name__)

GRACE = timedelta(days=7)


def init_app(app: Flask) -> None:
    """Offer to keep the account to those who sign in to `app` within the week."""
    flask_security.user_authenticated.connect(on_sign_in, app)


def begin(user: User) -> str:
    """Note that the account is to be deleted, sign its owner out everywhere; return the day."""
    user.deletion_asked_at = now = utcnow()
    history.record(user, "deletion_begun")
    day = languages.day(now + GRACE, user.language)
    link = url_for("security.login", _external=True)
    mails.tell(user, "auth/mail/deletion_begun", day=day, link=link)
    sessions.end_all(user)
    logger.info("User %s asked to be deleted", user.id)
    return last_day(user) or ""


def undo(user: User) -> None:
    """Keep the account."""
    if user.deletion_asked_at:
        user.deletion_asked_at = None
        history.record(user, "deletion_undone")
        logger.info("User %s stays", user.id)


def last_day(user: User) -> str | None:
    """Return the day on which the account will be deleted, for people; None if it stays."""
    asked = user.deletion_asked_at
    return f"{asked + GRACE:%d %B %Y}" if asked else None


def on_sign_in(_: Flask, user: User, **__: Any) -> None:
    """Tell who signs in that the account is about to go, and how to keep it."""
    if day := last_day(user):
        words = Markup('Your account will be deleted on {}. <a href="{}">Keep it after all?</a>')
        flash(words.format(day, url_for("auth.delete_account")), "info")


def delete_due(now: datetime | None = None) -> int:
    """Delete the accounts whose week is over, and return how many there were."""
    return services.remove(User.deletion_asked_at <= (now or utcnow()) - GRACE)
