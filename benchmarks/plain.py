"""A worker of plain Celery: `celery -A benchmarks.plain.celery worker`.

Its mails are those of Stockpot, made in one application context, and sent with smtplib alone.
"""

import smtplib
import uuid
from functools import cache

from celery import Celery

from app import create_app
from app.core import mail
from benchmarks.tasks import LETTER, count

application = create_app()
application.app_context().push()
celery = Celery("plain", broker=application.config["CELERY_BROKER_URL"])
celery.conf.task_ignore_result = True
celery.conf.broker_connection_retry_on_startup = True


def connect() -> smtplib.SMTP:
    """Return a new connection to the mail server."""
    return smtplib.SMTP(application.config["MAIL_SERVER"], application.config["MAIL_PORT"])


@cache
def connection_of_process() -> smtplib.SMTP:
    """Return the connection that a process opens with its first mail and keeps."""
    return connect()


@celery.task
def nothing() -> None:
    """Do nothing but count."""
    count()


@celery.task
def send_kept_open() -> None:
    """Send a mail on the connection of the process."""
    message = mail.compose(*LETTER, message_id=uuid.uuid4().hex)
    connection_of_process().send_message(message)


@celery.task
def send_alone() -> None:
    """Send a mail on a connection of its own."""
    with connect() as server:
        server.send_message(mail.compose(*LETTER, message_id=uuid.uuid4().hex))
