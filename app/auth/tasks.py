"""What happens to accounts by itself."""

import logging

from celery import shared_task

from app.auth import services
from app.extensions import db

logger = logging.getLogger(__name__)


@shared_task
def forget_unconfirmed() -> None:
    """Delete the accounts nobody confirmed; beat starts this every night."""
    count = services.forget_unconfirmed()
    db.session.commit()
    logger.info("Deleted %d accounts that were never confirmed", count)
