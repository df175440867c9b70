"""The durable job that does nothing, and the mail that is sent again and again."""

from functools import cache

import redis
from celery import shared_task
from flask import current_app

from app.jobs.task import DurableTask

LETTER = (
    "ada@example.com",
    "main/mail/contact",
    {"name": "Ada", "email": "ada@example.com", "message": "Soup"},
)
COUNTER = "benchmark"


@cache
def _store(url: str) -> redis.Redis:
    return redis.Redis.from_url(url)


def count() -> None:
    """Tell the stand that one more is done."""
    _store(current_app.config["COUNTER_URL"]).incr(COUNTER)


@shared_task(base=DurableTask)
def durable_nothing() -> None:
    """Do nothing but count."""
    count()
