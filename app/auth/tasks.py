"""What happens to accounts by itself."""

import logging
import uuid

from celery import shared_task

from app.auth import deletion, exports, history, services, sessions
from app.jobs.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(base=DurableTask)
def forget_unconfirmed() -> None:
    """Delete the accounts nobody confirmed; the schedule starts this every night."""
    count = services.forget_unconfirmed()
    logger.info("Deleted %d accounts that were never confirmed", count)


@shared_task(base=DurableTask)
def forget_sessions() -> None:
    """Delete the sessions that nobody can use any more; the schedule starts this every night."""
    logger.info("Deleted %d sessions that are over", sessions.forget_old())


@shared_task(base=DurableTask)
def forget_history() -> None:
    """Delete what security logs said a year ago; the schedule starts this every night."""
    logger.info("Deleted %d lines of security logs", history.forget_old())


@shared_task(base=DurableTask)
def delete_accounts() -> None:
    """Delete the accounts whose owners asked for it a week ago; the schedule starts this hourly."""
    logger.info("Deleted %d accounts, as their owners asked", deletion.delete_due())


@shared_task(base=DurableTask)
def make_export(export_id: str, link: str) -> None:
    """Pack what is kept about a user, and mail the link to it."""
    exports.make(uuid.UUID(export_id), link)


@shared_task(base=DurableTask)
def forget_exports() -> None:
    """Delete the exports whose day is over; the schedule starts this every hour."""
    logger.info("Deleted %d exports", exports.forget_old())
