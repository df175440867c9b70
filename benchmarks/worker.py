"""A worker with the tasks that benchmarks/jobs.py measures; each counts itself in Valkey."""

import os
import uuid

import redis
from celery import shared_task
from flask import current_app

from app.core import mail
from app.core.celery import FlaskTask
from app.jobs.task import DurableTask
from celery_worker import application, celery

counter = redis.Redis.from_url(os.environ["CELERY_BROKER_URL"])
LETTER = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}


@shared_task(base=FlaskTask)
def plain_nothing() -> None:
    """Do nothing, as a plain Celery task."""
    counter.incr("benchmark")


@shared_task(base=DurableTask)
def durable_nothing() -> None:
    """Do nothing, as a durable job."""
    counter.incr("benchmark")


@shared_task(base=FlaskTask)
def plain_mail() -> None:
    """Send a mail on the kept-open connection, as a plain Celery task."""
    message = mail.compose(
        "ada@example.com", "main/mail/contact", LETTER, message_id=uuid.uuid4().hex
    )
    current_app.extensions["smtp"].send(message)
    counter.incr("benchmark")


@shared_task(base=FlaskTask)
def plain_mail_alone() -> None:
    """Send a mail on a connection of its own, as a plain Celery task."""
    plain_mail.run()
    current_app.extensions["smtp"].close()


__all__ = ["application", "celery"]
