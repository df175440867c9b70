"""Tasks of the whole application."""

import logging
from typing import Any

from celery import shared_task
from flask import current_app

from app.core import mail

logger = logging.getLogger(__name__)


class MailNotDelivered(Exception):
    """The mail server did not take a mail now, but may later."""


@shared_task(
    autoretry_for=(MailNotDelivered,),
    max_retries=8,
    retry_backoff=2,
    retry_backoff_max=600,
    retry_jitter=True,
)
def send_email(
    to: str, template: str, context: dict[str, Any], reply_to: str | None = None
) -> None:
    """Send the mail that `template` makes of `context` to the address `to`.

    Tries again for about half an hour, waiting ever longer. A refusal for good is logged as an
    error and not tried again.
    """
    message = mail.compose(to, template, context, reply_to)
    try:
        current_app.extensions["smtp"].send(message)
    except OSError as error:
        if mail.is_permanent(error):
            logger.error("The mail %s was refused for good: %s", template, error)
            return
        raise MailNotDelivered(f"The mail {template} was not taken: {error}") from error
    logger.info("The mail %s is sent as %s", template, message["Message-ID"])
