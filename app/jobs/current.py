"""The job that runs now, as its task sees it: `from app.jobs.current import current_job`."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from flask import g
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from app.extensions import db
from app.jobs import store
from app.jobs.models import Job

REPORT_EVERY = 0.5  # seconds: a page shows no more than two changes a second


class LeaseLost(Exception):
    """Another worker has this job now; whatever this one still does must not count."""


class PermanentError(Exception):
    """Trying again is useless: the job is dead at once, with this error."""


class CurrentJob:
    """What a running task may ask of its job and tell about it.

    Each step is a transaction of its own on another connection than the task's session, so that
    it shows at once. SQLite has one writer: report and hand off before the task's session writes.
    """

    def __init__(self, job: store.Claimed, lease: uuid.UUID, seconds: float) -> None:
        """Speak for `job`, which holds `lease` for `seconds` after each sign of life."""
        self.id = job.id
        self.attempt = job.attempts
        self.created_at = job.created_at
        self.handed_off_before = job.handoff_at is not None
        self.handed_off = False
        self.receipt: str | None = None
        self._lease = lease
        self._seconds = seconds
        self._reported = 0.0
        self._complete: int | None = None  # the total that was reported as reached

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Tell how far the job is; written at most twice a second, and when it is complete.

        Raises LeaseLost when another worker has the job.
        """
        now = time.monotonic()
        complete = done == total != self._complete
        if now - self._reported >= REPORT_EVERY or complete:
            self._complete = total if complete else None
            self._reported = now
            news = (done, total, note[:255] if note else None)
            self._step(lambda s: store.report(s, self.id, self._lease, self._seconds, news))

    def handoff(self) -> None:
        """Note that the next step cannot be taken back, like the last dot of a mail.

        Raises LeaseLost when another worker has the job.
        """
        self._step(lambda s: store.hand_off(s, self.id, self._lease, self._seconds))
        self.handed_off = True

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this job to stop; raising `Cancelled` then stops it."""
        with Session(db.engine) as session:
            return bool(session.scalar(select(Job.cancelling).where(Job.id == self.id)))

    def _step(self, step: Callable[[Session], bool]) -> None:
        with Session(db.engine) as session:
            held = step(session)
            session.commit()
        if not held:
            raise LeaseLost(f"Job {self.id} has another worker now.")


class Cancelled(Exception):
    """The task stops because `current_job.cancelled` told it to."""


class NoJob:
    """Stands in where a task runs without a job: called directly, or by `delay()`."""

    id = None
    attempt = 1
    created_at = None
    handed_off_before = False
    receipt: str | None = None
    cancelled = False

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Nobody watches."""

    def handoff(self) -> None:
        """Nothing is recorded."""


def _current() -> Any:
    if "job" not in g:
        g.job = NoJob()
    return g.job


current_job: CurrentJob = LocalProxy(_current)  # type: ignore[assignment]
