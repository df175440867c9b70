"""The heartbeat of a worker process: while a job runs, its lease does not end."""

import logging
import threading
import uuid

from flask import Flask
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.extensions import db
from app.jobs import store

logger = logging.getLogger(__name__)


class Heart:
    """One thread a process, which extends the lease of the job that runs."""

    def __init__(self) -> None:
        """Start no thread yet: a process may be forked before its first job."""
        self._beating: tuple[Flask, uuid.UUID, uuid.UUID, float] | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def keeps(self, app: Flask, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> "Heart":
        """Return a context in which the lease of the job is extended every third of `seconds`."""
        self._beating = (app, job_id, lease, seconds)
        return self

    def __enter__(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._wake = threading.Condition()
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._beating = None

    def _beat(self) -> None:
        while True:
            kept = self._beating
            with self._wake:
                self._wake.wait(kept[3] / 3 if kept else 1.0)
            if kept is None or kept != self._beating:
                continue
            app, job_id, lease, seconds = kept
            try:
                with app.app_context(), Session(db.engine) as session:
                    store.extend(session, job_id, lease, seconds)
                    session.commit()
            except DBAPIError as error:
                logger.warning("The lease of job %s could not be extended: %s", job_id, error)


heart = Heart()
