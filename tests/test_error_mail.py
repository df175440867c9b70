"""Errors are mailed to the administrators by a worker: each once, whatever else is broken."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import create_app
from app.core.error_mail import INTERVAL, REPORT_SIZE, ErrorMailHandler, shortened
from app.extensions import db
from app.jobs.models import Job
from tests.support import ROOT, Inbox, Valkey, free_port, text_of

QUEUE, LIMITS = 3, 4  # databases of the Valkey server that only these tests use
MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Leave no handler behind."""
    yield
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()


@pytest.fixture
def reporting(valkey: Valkey) -> Iterator[dict[str, Any]]:
    """Return the settings of an application whose error mails wait in a queue."""
    yield {
        "CELERY_BROKER_URL": valkey.url(QUEUE),
        "REDIS_URL": valkey.url(LIMITS),
        "RATELIMIT_ENABLED": True,
        "ADMINS": "admin@example.com",
    }
    valkey.empty(QUEUE)
    valkey.empty(LIMITS)


def failing_app(settings: dict[str, Any]) -> Flask:
    app = create_app("config.TestingConfig", **settings)
    add_bugs(app)
    return app


def add_bugs(app: Flask) -> None:
    @app.get("/bug/<password>")
    def bug(password: str) -> str:
        raise RuntimeError(f"The pot boils over, password={password}")

    @app.get("/other")
    def other() -> str:
        raise LookupError("No lid")


def queued(valkey: Valkey) -> int:
    """Return how many mails wait once every report was handed over."""
    for thread in threading.enumerate():
        if thread.name == "error-mail":
            thread.join()
    with store(valkey, QUEUE) as connection:
        queues = [key for key in connection.scan_iter() if connection.type(key) == b"list"]
        return sum(connection.llen(queue) for queue in queues)


def store(valkey: Valkey, database: int) -> Any:
    return redis.from_url(valkey.url(database))


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_worker_mails_an_error_without_its_secrets(
    make_app: MakeApp, live_app: Flask, inbox: Inbox, log_format: str
) -> None:
    admins = "admin@example.com, other@example.com"
    parts = {name: live_app.config[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL")}
    app = make_app(**parts, ADMINS=admins, LOG_FORMAT=log_format)
    add_bugs(app)
    headers = {"X-Request-ID": "the-failed-request"}
    assert app.test_client().get("/bug/tr0ub4dor", headers=headers).status_code == 500
    app.logger.error("Forged\r\nBcc: eve@example.com password=tr0ub4dor")
    for admin in ("admin@example.com", "other@example.com"):
        inbox.wait_for(admin, 2)
        subjects = sorted(mail["Subject"] for mail in inbox.to(admin))
        assert subjects[0] == "[Stockpot] Exception on /bug/tr0ub4dor [GET]"
        assert subjects[1].startswith("[Stockpot] Forged\\r\\nBcc: e***@example.com password=[red")
        (report,) = [text_of(mail) for mail in inbox.to(admin) if "Exception" in mail["Subject"]]
        assert "RuntimeError: The pot boils over, password=[redacted]" in report
        assert "the-failed-request" in report


@pytest.mark.parametrize("level", ["DEBUG", "ERROR", "CRITICAL"])
def test_only_errors_are_mailed(valkey: Valkey, reporting: dict[str, Any], level: str) -> None:
    app = failing_app({**reporting, "LOG_LEVEL": level})
    app.logger.info("Soup is served")
    app.logger.warning("Soup is cold")
    app.test_client().get("/nowhere")
    assert queued(valkey) == 0
    app.logger.critical("No soup")
    assert queued(valkey) == 1


def test_an_error_is_mailed_once_and_a_distinct_one_too(
    valkey: Valkey, reporting: dict[str, Any]
) -> None:
    client = failing_app(reporting).test_client()
    for password in ("first", "second", "third"):
        client.get(f"/bug/{password}")
    assert queued(valkey) == 1
    client.get("/other")
    assert queued(valkey) == 2


def test_applications_that_share_a_store_mail_an_error_once(
    valkey: Valkey, reporting: dict[str, Any]
) -> None:
    for _ in range(2):
        failing_app(reporting).test_client().get("/bug/x")
    assert queued(valkey) == 1
    with store(valkey, LIMITS) as connection:
        (key,) = connection.scan_iter()
        assert 0 < connection.ttl(key) <= INTERVAL


REPORTER = """
import sys, threading
from app import create_app
names = ("CELERY_BROKER_URL", "REDIS_URL", "ADMINS")
settings = dict(zip(names, sys.argv[1:]))
app = create_app("config.TestingConfig", RATELIMIT_ENABLED=True, **settings)
sys.stdin.readline()
for _ in range(3):
    app.logger.error("The pot boils over")
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
"""


def test_processes_that_share_a_store_mail_an_error_once(
    valkey: Valkey, reporting: dict[str, Any]
) -> None:
    arguments = [reporting[name] for name in ("CELERY_BROKER_URL", "REDIS_URL", "ADMINS")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REPORTER, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.communicate(b"start\n", timeout=60)
        assert process.returncode == 0
    assert queued(valkey) == 1


def test_an_error_that_lasts_is_mailed_again_after_ten_minutes(
    valkey: Valkey, reporting: dict[str, Any]
) -> None:
    client = failing_app(reporting).test_client()
    client.get("/bug/x")
    assert queued(valkey) == 1
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, ErrorMailHandler)]
    handler._sent = {key: at - INTERVAL for key, at in handler._sent.items()}
    valkey.empty(LIMITS)
    client.get("/bug/x")
    assert queued(valkey) == 2


def test_each_process_mails_an_error_once_if_the_store_is_down(
    valkey: Valkey, reporting: dict[str, Any]
) -> None:
    reporting["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    client = failing_app(reporting).test_client()
    for _ in range(3):
        client.get("/bug/x")
    assert queued(valkey) == 1


def test_a_dead_broker_changes_nothing_for_the_visitor(
    valkey: Valkey, reporting: dict[str, Any], tmp_path: Path
) -> None:
    def answer(settings: dict[str, Any]) -> TestResponse:
        headers = {"X-Request-ID": "the-failed-request"}
        return failing_app(settings).test_client().get("/bug/x", headers=headers)

    healthy = answer({**reporting, "ADMINS": ""})
    log = tmp_path / "app.log"
    dead = f"redis://127.0.0.1:{free_port()}/0"
    response = answer({**reporting, "CELERY_BROKER_URL": dead, "REDIS_URL": dead, "LOG_FILE": log})
    assert (response.status, response.text) == (healthy.status, healthy.text)
    assert queued(valkey) == 0
    text = log.read_text(encoding="utf-8")
    assert "RuntimeError: The pot boils over" in text
    assert "WARNING: An error could not be mailed" in text


@pytest.mark.parametrize("letter", ["x", "щ", "\N{POT OF FOOD}", "\n", "\x07", '"'])
def test_a_report_is_kept_while_the_broker_is_away(make_app: MakeApp, letter: str) -> None:
    app = make_app(CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0", ADMINS="a@example.com")
    app.logger.error("The pot boils over %s and over", letter * 100_000)
    for thread in threading.enumerate():
        if thread.name == "error-mail":
            thread.join()
    with app.app_context():
        (job,) = db.session.scalars(select(Job)).all()
    assert job.arguments["args"][:2] == ["a@example.com", "mail/error"]
    report = job.arguments["args"][2]["report"]
    assert "ERROR: The pot boils over" in report
    assert "and over [in test_error_mail.py" in report
    assert "\n[...]\n" in report


@given(st.text(max_size=50), st.integers(0, 30_000), st.integers(0, 30_000))
def test_a_shortened_report_fits_and_wastes_no_room(text: str, before: int, after: int) -> None:
    report = "x" * before + text * 2_000 + "щ" * after
    short = shortened(report)
    assert len(json.dumps(short)) - 2 <= REPORT_SIZE
    if short != report:
        assert len(json.dumps(short)) - 2 > REPORT_SIZE - 12
        assert short.startswith(report[:2_000])
        assert report.endswith(short.partition("\n[...]\n")[2][-50:])


FORKING = """
import os, threading
from app import create_app
from app.core.error_mail import ErrorMailHandler
app = create_app("config.TestingConfig", ADMINS="admin@example.com", REDIS_URL="memory://")
begun, go_on, order = threading.Event(), threading.Event(), []
def enqueue(*_):
    begun.set()
    go_on.wait(30)
    order.append("mailed")
ErrorMailHandler._enqueue = enqueue
app.logger.error("The pot boils over")
begun.wait(30)
threading.Timer(0.2, go_on.set).start()
child = os.fork()
if child == 0:
    os._exit(0)
order.append("forked")
os.waitpid(child, 0)
print(order)
"""


def test_no_process_is_forked_while_a_report_is_handed_over() -> None:
    result = subprocess.run(
        [sys.executable, "-c", FORKING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "['mailed', 'forked']"
