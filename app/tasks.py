"""Tasks of the whole application."""

import logging
import uuid
from typing import Any

from celery import shared_task
from flask import current_app

from app.core import mail
from app.jobs.current import PermanentError, current_job
from app.jobs.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(
    base=DurableTask,
    job_queue="mail",
    secret_arguments=("context",),
    max_attempts=15,
    permanent=(ValueError,),  # an address or a subject that no mail can have
)
def send_email(
    to: str,
    template: str,
    context: dict[str, Any],
    reply_to: str | None = None,
    language: str = mail.ENGLISH,
) -> None:
    """Send the mail that `template` makes of `context` to the address `to`, in `language`.

    Tries again for up to an hour, waiting ever longer. A refusal for good is not tried again. A
    copy, which a process that dies at the wrong moment can cause, has the same Message-ID.
    """
    message = mail.compose(
        to,
        template,
        context,
        message_id=str(current_job.id or uuid.uuid4()),
        date=current_job.created_at,
        reply_to=reply_to,
        language=language,
    )
    try:
        current_job.receipt = current_app.extensions["smtp"].send(message, current_job.handoff)
    except mail.MailRefused as error:
        raise PermanentError(f"The mail server refused the mail for good: {error}") from error
    logger.info("The mail %s is sent", template)
