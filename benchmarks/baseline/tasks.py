"""The task that sends a mail."""

from typing import Any

from celery import shared_task
from flask import render_template
from flask_mail import Message

from benchmarks.baseline.extensions import mail


@shared_task
def send_email(to: str, template: str, context: dict[str, Any]) -> None:
    """Send a mail on a connection of its own."""
    head, _, text = render_template(f"{template}.txt", **context).partition("\n\n")
    subject = head.removeprefix("Subject:").strip()
    html = render_template(f"{template}.html", subject=subject, **context)
    mail.send(Message(subject, recipients=[to], body=text, html=html))
