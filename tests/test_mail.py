"""Mails: what a server says on the connection that is kept, and what no letter can do."""

import asyncio
import multiprocessing
import threading
from typing import Any
from unittest.mock import Mock

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from celery.exceptions import SoftTimeLimitExceeded
from flask import Flask

from app.core import mail
from tests.support import Inbox, wait_until

LETTER = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
TEMPLATE = "main/mail/contact"


def test_a_connection_the_server_closed_is_opened_again(app: Flask, inbox: Inbox) -> None:
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        message = mail.compose("grace@example.com", TEMPLATE, LETTER, message_id="1")
        connection.send(message)
        assert connection._server
        assert connection._server.sock
        connection._server.sock.shutdown(2)
        connection.send(message)
        connection.close()
    assert len(inbox.to("grace@example.com")) == 2


@pytest.mark.parametrize(
    ("step", "answer"), [("MAIL", "421 too many mails"), ("RCPT", "554 too many mails")]
)
def test_a_server_that_wants_no_more_on_a_connection_gets_a_new_one(
    app: Flask, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, step: str, answer: str
) -> None:
    async def at_most_one(
        server: SMTP, session: Session, envelope: Envelope, address: str, options: list
    ) -> str:
        server.asked = getattr(server, "asked", 0) + 1  # type: ignore[attr-defined]
        if server.asked > 1:  # type: ignore[attr-defined]
            return answer
        if step == "MAIL":
            envelope.mail_from = address
        else:
            envelope.rcpt_tos.append(address)
        return "250 OK"

    monkeypatch.setattr(inbox, f"handle_{step}", at_most_one, raising=False)
    before = inbox.connections
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        for number in range(3):
            connection.send(
                mail.compose("grace@example.com", TEMPLATE, LETTER, message_id=str(number))
            )
        connection.close()
    assert len(inbox.to("grace@example.com")) == 3
    assert inbox.connections - before == 3


def test_a_server_that_hangs_at_the_goodbye_is_left(
    app: Flask, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(inbox, "handle_QUIT", hang, raising=False)
    monkeypatch.setattr(mail, "TIMEOUT", 60.0)
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        connection.send(mail.compose("grace@example.com", TEMPLATE, LETTER, message_id="1"))
    closing = threading.Thread(target=connection.close, daemon=True)
    closing.start()
    wait_until(lambda: not closing.is_alive(), "the connection is closed")


# Newer Pythons warn of forks beside threads, such as the listener; workers fork all the same.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_process_leaves_the_connection_of_its_parent_alone(
    app: Flask, inbox: Inbox
) -> None:
    before = inbox.connections
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        message = mail.compose("grace@example.com", TEMPLATE, LETTER, message_id="1")
        connection.send(message)
        child = multiprocessing.get_context("fork").Process(target=connection.close)
        child.start()
        child.join(30)
        child.kill()
        connection.send(message)
        connection.close()
    assert child.exitcode == 0
    assert inbox.connections - before == 1


def test_an_answer_that_nobody_waited_for_answers_no_other_step(
    app: Flask, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        message = mail.compose("grace@example.com", TEMPLATE, LETTER, message_id="1")
        connection.send(message)
        assert connection._server
        with monkeypatch.context() as patch:  # the server answers, but a time limit is faster
            patch.setattr(connection._server, "getreply", Mock(side_effect=SoftTimeLimitExceeded))
            with pytest.raises(SoftTimeLimitExceeded):
                connection.send(message)
        connection.send(message)
        connection.close()
    assert len(inbox.to("grace@example.com")) == 2


def test_an_idle_connection_is_closed_and_opened_for_the_next_mail(
    app: Flask, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "IDLE", 0.1)
    with app.app_context():
        connection: mail.SmtpConnection = app.extensions["smtp"]
        message = mail.compose("grace@example.com", TEMPLATE, LETTER, message_id="1")
        connection.send(message)
        wait_until(lambda: connection._server is None, "the connection is closed")
        before = inbox.connections
        connection.send(message)
    assert inbox.connections == before + 1


@pytest.mark.parametrize("to", ["a@example.com\nBcc: eve@example.com", "a@example.com\r\nX: y"])
def test_an_address_cannot_add_headers(app: Flask, to: str) -> None:
    with app.app_context(), pytest.raises(ValueError, match="linefeed or carriage return"):
        mail.compose(to, TEMPLATE, LETTER, message_id="1")


def test_a_subject_cannot_add_headers(app: Flask) -> None:
    letter = {**LETTER, "name": "Ada\nBcc: eve@example.com"}
    with app.app_context(), pytest.raises(ValueError, match="linefeed or carriage return"):
        mail.compose("grace@example.com", TEMPLATE, letter, message_id="1")
