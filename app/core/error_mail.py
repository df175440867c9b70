"""Errors reach `ADMINS` by mail: in the background, and each at most once in ten minutes."""

import hashlib
import json
import logging
import os
import threading
import time
import traceback
from bisect import bisect_left

from flask import Flask
from limits import RateLimitItemPerMinute
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db

logger = logging.getLogger(__name__)

# A worker forks its processes. A child that is born while a thread of its parent holds a lock, one
# of SQLAlchemy's say, waits for that lock for ever. So a fork waits until a mail is handed over.
no_fork = threading.Lock()
os.register_at_fork(
    before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release
)

INTERVAL = 600  # seconds
# Bytes of the JSON that a job's arguments are stored as: below what a durable task takes, with the
# address, the template and the summary beside it. A character takes 1 to 12 of them.
REPORT_SIZE = 40_000
HEAD = 2_000  # characters
ONCE = RateLimitItemPerMinute(1, INTERVAL // 60)


class ErrorMailHandler(logging.Handler):
    """Hands errors to a worker, which mails them.

    A thread talks to the broker, so that a request which failed does not wait for it as well.
    """

    def __init__(self, app: Flask, level: int | str = logging.ERROR) -> None:
        """Mail the errors of `app` to its `ADMINS`."""
        super().__init__(level)
        self._app = app
        self._sent: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Mail `record`, unless the same error was mailed a short while ago."""
        try:
            fingerprint = fingerprint_of(record)
            if not self._is_new(fingerprint):
                return
            report = self.format(record)  # this also leaves the message without its secrets
            context = {"summary": record.message[:120], "report": shortened(report)}
            threading.Thread(
                target=self._send, args=(fingerprint, context), name="error-mail", daemon=True
            ).start()
        except Exception:
            self.handleError(record)

    def _is_new(self, fingerprint: str) -> bool:
        now = time.monotonic()
        self._sent = {key: at for key, at in self._sent.items() if now - at < INTERVAL}
        if fingerprint in self._sent:
            return False
        self._sent[fingerprint] = now
        return True

    def _send(self, fingerprint: str, context: dict[str, str]) -> None:
        """Publish one mail for each administrator, if no other process has."""
        with no_fork, self._app.app_context():
            try:
                if not self._app.extensions["rate_limits"].limiter.hit(
                    ONCE, "error-mail", fingerprint
                ):
                    return
            except (
                Exception
            ):  # the store is down, which may be the very error: rather mail it twice
                note = "Other processes may have mailed this error too."
                context = {**context, "note": note}
            try:
                self._enqueue(context)
            except Exception as error:  # no mail without a broker, but the log has the error
                logger.warning("An error could not be mailed: %s", error)

    def _enqueue(self, context: dict[str, str]) -> None:
        """Enqueue the mails as durable jobs, or tell the broker alone if the database is away."""
        send_email = self._app.extensions["celery"].tasks["app.tasks.send_email"]
        mails = [(admin, "mail/error", context) for admin in self._app.config["ADMINS"]]
        try:
            for mail in mails:
                send_email.delay_on_commit(*mail)
            db.session.commit()
        except SQLAlchemyError:
            db.session.rollback()
            for mail in mails:
                send_email.apply_async(mail, queue="mail")


def shortened(report: str) -> str:
    """Return the beginning and the end of a report that is too long for a mail."""
    if size_of(report) <= REPORT_SIZE:
        return report
    head, tail = f"{report[:HEAD]}\n[...]\n", report[HEAD:][-REPORT_SIZE:]
    room = REPORT_SIZE - size_of(head)
    start = bisect_left(range(len(tail)), -room, key=lambda start: -size_of(tail[start:]))
    return head + tail[start:]


def size_of(text: str) -> int:
    """Return how many bytes `text` takes in JSON, without its quotes."""
    return len(json.dumps(text)) - 2


def fingerprint_of(record: logging.LogRecord) -> str:
    """Return a text that is equal for two reports of one error, whatever the values in them."""
    place = f"{record.pathname}:{record.lineno}"
    if record.exc_info and record.exc_info[0]:
        frames = traceback.extract_tb(record.exc_info[2])
        last = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        place = f"{record.exc_info[0].__name__}:{last}"
    return hashlib.sha256(place.encode()).hexdigest()[:32]
