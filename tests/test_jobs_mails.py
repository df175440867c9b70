"""Mails as jobs of a real worker: their names, and recipients that a server refuses."""

import uuid
from collections.abc import Callable

import pytest
from flask import Flask

from app.extensions import db
from app.jobs.models import DEAD, SUCCEEDED
from app.tasks import send_email
from tests.jobs_support import ended
from tests.support import Inbox

Send = Callable[[str], uuid.UUID]
TEMPLATE = "main/mail/contact"
LETTER = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}


@pytest.fixture
def send(live_app: Flask) -> Send:
    """Return a function that commits a mail to an address."""

    def send(address: str) -> uuid.UUID:
        with live_app.app_context():
            job = send_email.delay_on_commit(address, TEMPLATE, LETTER)
            db.session.commit()
            return job.id

    return send


def test_a_mail_is_named_after_its_job(live_app: Flask, inbox: Inbox, send: Send) -> None:
    job_id = send("grace@example.com")
    job = ended(live_app, job_id)
    message = inbox.wait_for("grace@example.com")
    assert message["Message-ID"] == f"<{job_id}@localhost>"
    assert message["Date"].datetime == job.created_at.replace(microsecond=0)
    assert (job.state, job.receipt) == (SUCCEEDED, "OK")


def test_a_refused_recipient_is_dead_and_delays_nobody(
    live_app: Flask, inbox: Inbox, send: Send
) -> None:
    inbox.refusals["nobody@example.com"] = "550 no such mailbox"
    job = ended(live_app, send("nobody@example.com"))
    assert (job.state, job.attempts) == (DEAD, 1)
    assert "no such mailbox" in str(job.error)
    job = ended(live_app, send("a\nb@example.com"))
    assert (job.state, job.attempts) == (DEAD, 1)
    assert ended(live_app, send("grace@example.com")).state == SUCCEEDED
    assert inbox.to("grace@example.com")
