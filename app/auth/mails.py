"""Mails that tell people what happened to their account: when, and from where."""

from typing import Any

from flask import has_request_context, request

from app.auth import devices
from app.auth.models import User
from app.models import utcnow
from app.tasks import send_email


def tell(user: User, template: str, **context: Any) -> None:
    """Add a mail to the transaction of what it tells of; it names the moment and the place."""
    circumstances = {"when": f"{utcnow():%d %B %Y, %H:%M} UTC", "device": None, "address": None}
    if has_request_context():
        circumstances["device"] = devices.describe(request.user_agent.string)
        circumstances["address"] = request.remote_addr
    send_email.apply_async_on_commit(
        (user.email, template, {**circumstances, **context}), owner=user.id
    )
