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
    }


def tell(user: User, template: str, **context: Any) -> None:
    """Add a mail to the transaction of what it tells of; it names the moment and the place."""
    send_email.apply_async_on_commit(
        (user.email, template, {**circumstances(), **context}), owner=user.id
    )
