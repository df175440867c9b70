"""What happens to accounts by itself."""

import logging
import uuid
from typing import Any

from celery import shared_task

from app.auth import addresses, deletion, exports, history, services, sessions
from app.jobs.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(base=DurableTask)
def forget_unconfirmed() -> None:
    """Delete the accounts nobody confirmed; the schedule starts this every night."""
    count = services.forget_unconfirmed()
    logger.info("Deleted %d accounts that were never confirmed", count)


@shared_task(base=DurableTask, job_queue="mail")
def mail_nobody() -> None:
    """Send nothing: it stands where a mail would, for an address that gets none."""


@shared_task(base=DurableTask, secret_arguments=("asked",))
def make_export(export_id: str, link: str, asked: dict[str, Any]) -> None:
    """Pack what is kept about a user, and mail the link to it, and who asked for it."""
    exports.make(uuid.UUID(export_id), link, asked)


@shared_task(base=DurableTask)
def clean_up() -> None:
    """Delete accounts whose owners asked for it, and what is too old to be kept.

    The schedule starts this every hour.
    """
    for what, count in (
        ("accounts, as their owners asked", deletion.delete_due()),
        ("old addresses", addresses.forget_old()),
        ("exports", exports.forget_old()),
        ("sessions", sessions.forget_old()),
        ("lines of security logs", history.forget_old()),
    ):
        logger.info("Deleted %d %s", count, what)
