"""The heartbeat of a worker process: while a job runs, its lease does not end."""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.extensions import db
from app.jobs import store

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds, or more often for a lease that is shorter than three of them


@dataclass
class Kept:
    """A job whose lease is extended."""

    app: Flask
    job_id: uuid.UUID
    lease: uuid.UUID
    seconds: float
    extended: float  # when, on the clock of this process


class Heart:
    """One thread a process, which extends the leases of the jobs that run."""

    def __init__(self) -> None:
        """Start no thread yet: a process may be forked before its first job."""
        self._kept: dict[uuid.UUID, Kept] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeps(self, app: Flask, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> Iterator:
        """Extend the lease of the job every third of `seconds` for as long as the context lasts."""
        self._kept[lease] = Kept(app, job_id, lease, seconds, time.monotonic())
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            del self._kept[lease]

    def _beat(self) -> None:
        while True:
            kept = list(self._kept.values())
            time.sleep(min([LOOK_EVERY, *(one.seconds / 3 for one in kept)]))
            for one in kept:
                if one.lease in self._kept and time.monotonic() - one.extended >= one.seconds / 3:
                    self._extend(one)

    def _extend(self, one: Kept) -> None:
        try:
            with one.app.app_context(), Session(db.engine) as session:
                store.extend(session, one.job_id, one.lease, one.seconds)
                session.commit()
            one.extended = time.monotonic()
        except SQLAlchemyError as error:
            logger.warning("The lease of job %s could not be extended: %s", one.job_id, error)


heart = Heart()
