"""Mails and other tasks, done by a real worker through a real broker."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import redis
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.jobs.models import Job
from app.tasks import send_email
from tests.support import Inbox, Process, Valkey, text_of, wait_until

LETTER = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
TEMPLATE = "main/mail/contact"


def send(app: Flask, to: str = "grace@example.com") -> None:
    with app.app_context():
        send_email.delay_on_commit(to, TEMPLATE, LETTER)
        db.session.commit()


def test_a_worker_sends_the_mail(live_app: Flask, inbox: Inbox) -> None:
    send(live_app)
    message = inbox.wait_for("grace@example.com")
    assert message["From"] == "noreply@localhost"
    assert message["Subject"] == "A message from Ada"
    assert "Soup" in text_of(message)
    assert message.get_body(("html",)) is not None


def test_a_worker_process_keeps_its_connection(live_app: Flask, inbox: Inbox) -> None:
    before = inbox.connections
    for number in range(10):
        send(live_app, f"n{number}@example.com")
    for number in range(10):
        inbox.wait_for(f"n{number}@example.com")
    assert inbox.connections - before <= 2, "one for each of the worker's two processes"


def test_a_mail_that_is_refused_for_now_is_sent_later(
    live_app: Flask, inbox: Inbox, worker: Process
) -> None:
    inbox.refusals["grace@example.com"] = "451 try again later"
    seen = len(worker.output)
    send(live_app)
    wait_until(lambda: "failed, attempt 1" in worker.output[seen:], "the first attempt")
    inbox.refusals.clear()
    assert text_of(inbox.wait_for("grace@example.com"))
    assert len(inbox.to("grace@example.com")) == 1


def test_a_mail_that_is_refused_for_good_is_not_tried_again(
    live_app: Flask, inbox: Inbox, worker: Process
) -> None:
    inbox.refusals["nobody@example.com"] = "550 no such mailbox"
    seen = len(worker.output)
    send(live_app, "nobody@example.com")
    wait_until(lambda: "is dead" in worker.output[seen:], "the refusal in the log")
    with live_app.app_context():
        job = db.session.scalars(select(Job)).one()
        wait_until(lambda: db.session.refresh(job) or job.state == "dead", "the job is dead")
        assert job.attempts == 1
        assert "refused the mail for good" in str(job.error)
    send(live_app)
    inbox.wait_for("grace@example.com")
    assert inbox.to("nobody@example.com") == []
    assert "nobody@example.com" not in worker.output[seen:]


def test_each_task_has_a_context_of_its_own(live_app: Flask, worker: Process) -> None:
    with live_app.app_context():
        live_app.extensions["celery"].send_task("app.auth.tasks.forget_unconfirmed")
    worker.wait_for(r"Deleted 0 accounts .* \[task [0-9a-f-]{36}\]")


def test_a_task_goes_to_the_broker_of_the_application_that_calls_it(
    make_app: Callable[..., Flask], valkey: Valkey
) -> None:
    apps = [make_app(CELERY_BROKER_URL=valkey.url(number)) for number in (2, 3)]
    for app in (apps[0], apps[1], apps[0]):
        send(app)
    waiting = []
    for number in (2, 3):
        with redis.from_url(valkey.url(number)) as connection:
            waiting.append(connection.llen("mail\x06\x163"))
        valkey.empty(number)
    assert waiting == [2, 1]


def test_settings_are_those_of_production(app: Flask) -> None:
    conf = app.extensions["celery"].conf
    assert conf.task_acks_late
    assert not send_email.acks_late, "of a durable task the row is the truth"
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result
    assert conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]
    assert conf.worker_soft_shutdown_timeout > 0
    assert conf.broker_connection_retry_on_startup


def test_every_scheduled_task_exists(app: Flask) -> None:
    celery = app.extensions["celery"]
    assert celery.conf.beat_schedule
    for entry in celery.conf.beat_schedule.values():
        assert entry["task"] in celery.tasks


def environment_of(app: Flask) -> dict[str, str]:
    names = ("DATABASE_URL", "CELERY_BROKER_URL", "MAIL_SERVER", "MAIL_PORT")
    values = {name: str(app.config[name]) for name in names}
    return {**os.environ, **values, "CONFIG_TYPE": "config.TestingConfig"}


def test_the_sources_own_command_runs_a_worker(app: Flask, inbox: Inbox) -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    worker = Process([*command, "--pool=solo", "--loglevel=info"], environment_of(app))
    try:
        send(app)
        inbox.wait_for("grace@example.com")
        worker.wait_for(r"Task app\.tasks\.send_email\[.*\] succeeded")
    finally:
        assert worker.stop() == 0


def test_beat_ticks(app: Flask, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "beat", "--pidfile="]
    schedule = ["--schedule", str(tmp_path / "schedule")]
    beat = Process([*command, *schedule, "--loglevel=debug"], environment_of(app))
    try:
        beat.wait_for("beat: Waking up")  # until it has its schedule, no signal ends it in order
    finally:
        assert beat.stop() == 0


def test_beat_makes_the_folder_of_its_schedule(app: Flask, copy_of_project: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "beat", "--pidfile="]
    beat = Process(command, environment_of(app), cwd=copy_of_project)
    try:
        wait_until(lambda: list((copy_of_project / "instance").glob("*schedule*")), "beat is up")
    finally:
        beat.stop()
    assert "Traceback" not in beat.output


def test_a_worker_that_is_told_to_stop_finishes_its_task(app: Flask, inbox: Inbox) -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    worker = Process([*command, "--loglevel=info", "--concurrency=1"], environment_of(app))
    worker.wait_for("ready.")
    for number in range(5):
        send(app, f"n{number}@example.com")
    inbox.wait_for("n0@example.com")
    worker.stop(signal.SIGTERM)
    done = {number for number in range(5) if inbox.to(f"n{number}@example.com")}
    second = Process([*command, "--loglevel=info", "--concurrency=1"], environment_of(app))
    try:
        for number in range(5):
            inbox.wait_for(f"n{number}@example.com")
    finally:
        second.stop()
    assert all(len(inbox.to(f"n{number}@example.com")) == 1 for number in done)


def test_rabbitmq_is_a_broker_too(
    make_app: Callable[..., Flask], inbox: Inbox, rabbitmq: str
) -> None:
    app = make_app(CELERY_BROKER_URL=rabbitmq)
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    worker = Process([*command, "--loglevel=info"], environment_of(app))
    try:
        worker.wait_for("ready.")
        inbox.refusals["grace@example.com"] = "451 try again later"
        send(app)
        worker.wait_for("failed, attempt 1")
        inbox.refusals.clear()
        inbox.wait_for("grace@example.com")
        client = app.test_client()
        wait_until(lambda: client.get("/readyz").status_code == 200, "it answers in time")
    finally:
        worker.stop()
