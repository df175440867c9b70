"""What happens to accounts by itself."""

import logging

from celery import shared_task

from app.auth import addresses, services
from app.jobs.task import DurableTask

logger = logging.getLogger(__name__)


@shared_task(base=DurableTask)
def forget_unconfirmed() -> None:
    """Delete the accounts nobody confirmed; the schedule starts this every night."""
    count = services.forget_unconfirmed()
    logger.info("Deleted %d accounts that were never confirmed", count)


@shared_task(base=DurableTask)
def forget_old_addresses() -> None:
    """Delete the old addresses nobody can take back; the schedule starts this every night."""
    count = addresses.forget_old()
    logger.info("Deleted %d old addresses", count)
