"""Mails that tell people what happened to their account: when, and from where."""

from typing import Any

from flask import has_request_context, request

from app.auth import devices
from app.auth.models import User
from app.models import utcnow
from app.tasks import send_email


def circumstances() -> dict[str, str | None]:
    """Return when this is, and from where if there is a visitor, in words for a mail."""
    visited = has_request_context()
    return {
        "when": f"{utcnow():%d %B %Y, %H:%M} UTC",
        "device": devices.describe(request.user_agent.string) if visited else None,
        "address": request.remote_addr if visited else None,
        "where": (request.remote_addr if visited else None) or "an unknown address",
    }


def tell(user: User, template: str, to: str | None = None, **context: Any) -> None:
    """Add a mail to the transaction of what it tells of; it names the moment and the place.

    It goes to the address `to`, by default the user's own, and away with the user.
    """
    arguments = (to or user.email, template, {**circumstances(), **context})
    send_email.apply_async_on_commit(arguments, owner=user.id)
