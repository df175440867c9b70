"""Hints: after the commit that made a job, Celery is told that it is there.

A hint may be lost, doubled, late or early. So it is published without a retry, on a connection of
its own with short bounds, and after a failure not at all for a few seconds.
"""

import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery import Celery
from flask import Flask, current_app
from kombu.connection import Connection
from kombu.exceptions import ChannelError
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from app.extensions import db

logger = logging.getLogger(__name__)

BOUND = 0.2  # seconds for each step of publishing
PAUSE = 5.0  # seconds without an attempt after one failed
ENOUGH = 16  # hints for one kind of job in one commit; they lead their workers to the others
CROWDED = 32  # messages in a queue in which hints that came with their jobs leave no other
FULL = 1000  # messages in a queue to which a sweep adds no more
EXPECTED = "jobs expected to be committed"


class JobsNotCommitted(RuntimeError):
    """Jobs were enqueued in a session that ended without a commit: they do not exist."""


class Hinter:
    """Publishes the hints of one application; each thread of each process has its connection."""

    def __init__(self, celery: Celery, url: str) -> None:
        """Publish for `celery` to the broker at `url`; nothing connects yet."""
        self._celery = celery
        self._url = url
        self._own = threading.local()
        self._silent_until = 0.0

    def hint(
        self, job_id: str, task: str, queue: str, priority: int, *, passed_on: bool = False
    ) -> bool:
        """Tell the workers of `queue` about a job; False if the broker could not be told."""
        headers = {"durable": True, "job_queue": queue, "passed_on": passed_on}
        return self.send(task, queue, task_id=job_id, priority=priority, headers=headers)

    def send(self, task: str, queue: str, **options: Any) -> bool:
        """Publish a message for `task`; False if the broker could not be told."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            self._celery.send_task(
                task,
                queue=queue,
                producer=self._producer(),
                ignore_result=True,
                retry=False,
                **options,
            )
        except Exception as error:
            self._silent_until = time.monotonic() + PAUSE
            self.close()
            logger.warning("The broker cannot be told of jobs now, a sweep will tell it: %s", error)
            return False
        return True

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in `queue`, as far as can be known: 0 if it cannot."""
        if time.monotonic() < self._silent_until:
            return 0
        try:
            return self._producer().channel.queue_declare(queue, passive=True).message_count
        except ChannelError:
            return 0  # there is no such queue yet, or on Redis nothing in it
        except Exception:
            self.close()  # and the next hint finds out whether it was the connection
            return 0

    def close(self) -> None:
        """Close the connection of this thread, if it has one."""
        own = dict(self._own.__dict__)
        self._own.__dict__.clear()
        if own.get("pid") == os.getpid():
            with suppress(Exception):
                own["connection"].release()

    def _producer(self) -> Any:
        own = self._own.__dict__
        if own.get("pid") != os.getpid():
            own["pid"] = os.getpid()
            own["connection"] = self._connection()
            own["producer"] = self._celery.amqp.Producer(own["connection"])
        return own["producer"]

    def _connection(self) -> Connection:
        options = dict(self._celery.conf.broker_transport_options)
        options.pop("confirm_publish", None)
        options |= {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        if self._url.startswith("amqp"):
            options |= {"read_timeout": BOUND, "write_timeout": BOUND}
        else:
            options |= {"socket_timeout": BOUND, "socket_connect_timeout": BOUND}
        return Connection(self._url, connect_timeout=BOUND, transport_options=options)


@dataclass(frozen=True)
class Expected:
    """A job that its session has yet to commit, in `savepoint` if there was one."""

    task: str
    hint: tuple[str, str, str, int] | None
    savepoint: SessionTransaction | None

    def is_within(self, transaction: SessionTransaction) -> bool:
        """Tell whether undoing `transaction` undoes this job."""
        current = self.savepoint
        while current is not None:
            if current is transaction:
                return True
            current = current.parent
        return False


def init_app(app: Flask) -> None:
    """Hint after each commit of the application's session, and shout about jobs without one."""
    celery: Celery = app.extensions["celery"]
    app.extensions["hinter"] = Hinter(celery, app.config["CELERY"]["broker_url"])
    app.teardown_appcontext(_shout_about_uncommitted)


def expect_commit(session: Session, task: str, hint: tuple[str, str, str, int] | None) -> None:
    """Note a job to be hinted after the commit of `session` (no hint: it is not due yet)."""
    expected = Expected(task, hint, session.get_nested_transaction())
    session.info.setdefault(EXPECTED, []).append(expected)


@event.listens_for(db.session, "after_commit")
def _after_commit(session: Session) -> None:
    """Publish; the event comes for a released savepoint too, when nothing is committed yet."""
    if session.in_nested_transaction() or EXPECTED not in session.info:
        return
    hinter: Hinter = current_app.extensions["hinter"]
    told: Counter[tuple[str, str]] = Counter()
    for hint in [expected.hint for expected in session.info.pop(EXPECTED) if expected.hint]:
        told[hint[1:3]] += 1
        if told[hint[1:3]] <= ENOUGH and not hinter.hint(*hint):
            return  # a sweep will tell of the rest


@event.listens_for(db.session, "after_soft_rollback")
def _after_rollback(session: Session, undone: SessionTransaction) -> None:
    """Forget the jobs that were undone with their transaction or savepoint."""
    while not undone.nested and undone.parent is not None:
        undone = undone.parent  # a flush that failed undoes what it is part of
    if EXPECTED in session.info:
        session.info[EXPECTED] = [
            expected
            for expected in session.info[EXPECTED]
            if undone.nested and not expected.is_within(undone)
        ]


def _shout_about_uncommitted(error: BaseException | None) -> None:
    expected = db.session().info.pop(EXPECTED, []) if db.session.registry.has() else []
    if not expected:
        return
    names = ", ".join(sorted({job.task for job in expected}))
    message = (
        f"{len(expected)} jobs were enqueued but never committed, so they do not exist: {names}. "
        "Call db.session.commit() after delay_on_commit()."
    )
    logger.error(message)
    if error is None and (current_app.debug or current_app.testing):
        db.session.remove()  # what would follow this callback
        raise JobsNotCommitted(message)
