"""Stockpot's worker with one task more: `celery -A benchmarks.worker.celery worker`."""

from benchmarks import tasks
from celery_worker import application, celery

__all__ = ["application", "celery", "tasks"]
