"""Where a worker begins and ends: the context of each task, and the line of the Procfile."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from app.extensions import db
from app.jobs.models import QUEUED, RUNNING
from app.tasks import send_email
from tests import jobs_tasks as tasks
from tests.jobs_support import read
from tests.support import PATIENCE, ROOT, Process, Valkey, wait_until

BROKER = 10  # a database of Valkey that no other test uses
SOON = 15.0  # seconds: longer than JOBS_STOP, shorter than a silent mail server is waited for
TIMES = 5  # more than there are children, so that one of them has several of the tasks
WORKER = next(
    line.removeprefix("worker: ")
    for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    if line.startswith("worker: ")
)


@pytest.fixture(scope="module")
def own_database_url(new_database: Callable[[str], str]) -> str:
    """Return the address of a database that no other worker looks at."""
    return new_database("boundary")


@pytest.fixture
def app(make_app: Callable[..., Flask], own_database_url: str, valkey: Valkey) -> Iterator[Flask]:
    """Return an application whose jobs wait until a test starts a worker."""
    yield make_app(DATABASE_URL=own_database_url, CELERY_BROKER_URL=valkey.url(BROKER))
    valkey.empty(BROKER)


def start(app: Flask, command: list[str], **variables: str) -> Process:
    """Start a worker of `app` and wait until it takes jobs."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CONFIG_TYPE": "config.TestingConfig",
        **{name: app.config[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL")},
        **variables,
    }
    environment.pop("REMAP_SIGTERM", None)
    process = Process(command, environment)
    process.wait_for(r"ready\.")
    return process


def test_no_task_finds_what_another_left_in_its_context(app: Flask, tmp_path: Path) -> None:
    found = tmp_path / "found"
    entry = ["-m", "celery", "-A", "tests.jobs_worker.celery", "worker"]
    worker = start(app, [sys.executable, *entry, "--loglevel=info", "--concurrency=2"])
    try:
        with app.app_context():
            for _ in range(TIMES):
                tasks.leave_in_g.delay(str(found))
                tasks.leave_in_g_durably.delay_on_commit(str(found))
            db.session.commit()
        wait_until(
            lambda: found.exists() and len(found.read_text().splitlines()) == 2 * TIMES,
            "all tasks are done",
        )
    finally:
        worker.kill()
    assert {line.partition(" ")[2] for line in found.read_text().splitlines()} == {"nothing"}


def test_the_worker_of_the_procfile_lets_its_job_go_when_told_to_stop(
    app: Flask, silent_port: int
) -> None:
    server = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(silent_port)}
    worker = start(app, ["sh", "-c", WORKER], **server)
    try:
        letter = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
        with app.app_context():
            job_id = send_email.delay_on_commit("a@example.com", "main/mail/contact", letter).id
            db.session.commit()
        wait_until(lambda: read(app, job_id).state == RUNNING, "the job runs")
        begun = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: read(app, job_id).state == QUEUED, "the job is let go", SOON)
        taken = time.monotonic() - begun
        worker.process.wait(PATIENCE)
    finally:
        worker.kill()
    assert taken > app.config["JOBS_STOP"] - 1, "it was given its time"
    job = read(app, job_id)
    assert (job.attempts, job.lease, job.error) == (0, None, None)
