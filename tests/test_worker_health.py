"""The health check of one worker: what a container with it is asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from flask import Flask
from sqlalchemy import update

from app.core.celery import QUEUES
from app.extensions import db
from app.jobs.models import Heartbeat
from app.jobs.sweep import QUEUE, SIGN, TASK
from tests import jobs_tasks
from tests.conftest import copy_project, migrated
from tests.support import ROOT, Process, Valkey, free_port, wait_until

BROKER = 11  # a database of Valkey that no other test uses
NAME = "one@test"
WORKER = ["-m", "celery", "-A", "tests.jobs_worker.celery", "worker", "--loglevel=info"]


@pytest.fixture
def broker(valkey: Valkey) -> Iterator[str]:
    """Return the address of a broker of their own, emptied afterwards."""
    yield valkey.url(BROKER)
    valkey.empty(BROKER)


@pytest.fixture
def app(make_app: Callable[..., Flask], broker: str, tmp_path: Path) -> Flask:
    """Return the application of the workers."""
    url = migrated(f"sqlite:///{tmp_path / 'app.db'}")
    return make_app(DATABASE_URL=url, CELERY_BROKER_URL=broker)


@contextmanager
def worker(app: Flask, folder: Path, name: str = NAME) -> Iterator[Process]:
    """Run a worker with one child in the checkout `folder`."""
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        **{name: app.config[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL")},
    }
    options = ["--concurrency=1", "-n", name, "--without-gossip", "--without-mingle"]
    process = Process([sys.executable, *WORKER, *options], environment, folder)
    try:
        process.wait_for(r"ready\.")
        yield process
    finally:
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a checkout with an instance folder of its own, as each container has one."""
    folder = copy_project(tmp_path / "one")
    (folder / "instance").mkdir()
    return folder


@pytest.fixture
def one(app: Flask, folder: Path) -> Iterator[Process]:
    """Return the worker that is asked how it is."""
    with worker(app, folder) as process:
        yield process


def complaint(folder: Path) -> str:
    """Return what the health check says; nothing if all is well."""
    command = [sys.executable, "scripts/healthcheck.py", "worker"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stderr


def make_old(folder: Path) -> None:
    """Let ten minutes pass since the worker showed that it works."""
    then = time.time() - 600
    wait_until((folder / "instance" / SIGN).exists, "it shows that it works")
    os.utime(folder / "instance" / SIGN, (then, then))


def others_sweep(app: Flask) -> None:
    """Return after five sweeps, before which each worker has sent some of its own."""
    seen: set[object] = set()

    def swept() -> bool:
        with app.app_context():
            row = db.session.get(Heartbeat, "sweep")
            seen.add(row and row.beaten_at)
        return len(seen) > 5

    wait_until(swept, "five sweeps")


def test_a_worker_without_work_is_well(one: Process, folder: Path) -> None:
    wait_until(lambda: not complaint(folder), "it is well")
    make_old(folder)
    wait_until(lambda: not complaint(folder), "it is well again, as every few seconds")


def test_a_worker_that_never_worked_is_not(folder: Path) -> None:
    assert complaint(folder) == f"The worker has not touched instance/{SIGN} for 120 s.\n"


def test_a_deaf_worker_is_not_well_while_others_work(
    app: Flask, one: Process, folder: Path
) -> None:
    control = app.extensions["celery"].control
    with worker(app, ROOT, "two@test"):
        for queue in QUEUES:
            control.cancel_consumer(queue, destination=[NAME], reply=True)
        others_sweep(app)  # by then it is done with what it had taken
        make_old(folder)
        others_sweep(app)
        assert "has not touched" in complaint(folder)
        for queue in QUEUES:
            control.add_consumer(queue, destination=[NAME], reply=True)
        wait_until(lambda: not complaint(folder), "it hears again")


def test_a_worker_whose_children_hang_in_sweeps_is_not_well(
    app: Flask, one: Process, folder: Path
) -> None:
    children = psutil.Process(one.process.pid).children()
    with worker(app, ROOT, "two@test"):
        with app.app_context():
            # Now none of them has the lock, which the other worker needs.
            db.session.execute(update(Heartbeat).values(name=Heartbeat.name))
            for child in children:
                child.send_signal(signal.SIGSTOP)
            db.session.rollback()
        try:
            others_sweep(app)
            make_old(folder)
            others_sweep(app)
            assert "has not touched" in complaint(folder)
        finally:
            for child in children:
                child.send_signal(signal.SIGCONT)
        wait_until(lambda: not complaint(folder), "it goes on")


def test_a_worker_that_is_at_a_sweep_for_ever_is_not_well(
    app: Flask, one: Process, folder: Path, valkey: Valkey
) -> None:
    inspect = app.extensions["celery"].control.inspect(destination=[NAME])

    def sweeps() -> bool:
        return any(task["name"] == TASK for task in (inspect.active() or {}).get(NAME, []))

    def two_ticks_pass() -> None:
        with redis.from_url(valkey.url(BROKER)) as broker:
            enough = int(broker.llen(QUEUE)) + 2  # type: ignore[arg-type]
            wait_until(lambda: int(broker.llen(QUEUE)) >= enough, "it sent itself two more")  # type: ignore[arg-type]

    with app.app_context():
        db.session.execute(update(Heartbeat).values(name=Heartbeat.name))  # its sweep waits for us
        wait_until(sweeps, "its only child is at a sweep")
        two_ticks_pass()  # it has noted that it took this one
        make_old(folder)
        two_ticks_pass()
        assert "has not touched" in complaint(folder)
        db.session.rollback()
    wait_until(lambda: not complaint(folder), "it goes on")


def test_a_worker_whose_database_refuses_is_well(
    make_app: Callable[..., Flask], broker: str, folder: Path
) -> None:
    """Another container would find it in no other state."""
    refused = f"postgresql://ada@127.0.0.1:{free_port()}/soup"
    app = make_app(DATABASE_URL=refused, CELERY_BROKER_URL=broker)
    with worker(app, folder) as process:
        process.wait_for("The database does not answer")
        make_old(folder)
        wait_until(lambda: not complaint(folder), "it is well")


def test_a_worker_at_a_long_job_is_well(
    app: Flask, one: Process, folder: Path, tmp_path: Path
) -> None:
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    with app.app_context():
        jobs_tasks.wait_at_gate.delay_on_commit(str(runs), str(gate))
        db.session.commit()
    wait_until(runs.exists, "its only child has the job")
    try:
        make_old(folder)
        wait_until(lambda: not complaint(folder), "it is well, though it sweeps no more")
    finally:
        gate.touch()
