"""Whatever happens to the web server, the database or the queues: who was answered is served."""

import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from flask import Flask
from sqlalchemy import Connection, event, insert, update

from app import create_app
from app.extensions import db
from app.jobs.models import CANCELLED, QUEUED, Job
from app.models import utcnow
from tests import jobs_tasks
from tests.faults.harness import CHANCE, COUNT, STANDS, Stand, on_each_database
from tests.faults.test_worker_faults import now_and_then
from tests.faults.visitors import Guest
from tests.support import wait_until

REPORTS = 10_000


def at_a_random_moment(do: Callable[[], object]) -> None:
    """Call `do` in another thread while what follows goes on."""
    threading.Timer(CHANCE.uniform(0, 0.1), do).start()


def test_the_web_server_is_killed(stand: Stand) -> None:
    stand.worker()
    visitor = stand.web()
    kills: list[int] = []

    def kill() -> None:
        if stand.server_of_pages and stand.server_of_pages.process.poll() is None:
            kills.append(stand.server_of_pages.process.pid)
            os.killpg(kills[-1], signal.SIGKILL)

    load = stand.sign_up(
        visitor, during=lambda number: now_and_then(number) and at_a_random_moment(kill)
    )
    stand.count(load, "web killed under load", f"{len(kills)} kills")


@on_each_database
def test_the_web_process_dies_between_commit_and_hint(stand: Stand, tmp_path: Path) -> None:
    stand.worker()
    visitor = stand.web("tests.jobs_web:application", DIE_MARKS=str(tmp_path), DEATHS="3")
    load = stand.sign_up(visitor)
    assert len(list(tmp_path.iterdir())) == len(load.refused) == 3
    row = stand.count(load, "web dies between commit and hint", "3 deaths")
    assert row.received == COUNT  # who got no answer is stored, and so gets the mail


@pytest.mark.parametrize("shared_stand", STANDS[1:], indirect=True)
def test_the_database_is_restarted(stand: Stand) -> None:
    stand.worker()
    visitor = stand.web()
    server = stand.server
    assert server

    def crash() -> None:
        pid = server.get_pid()
        assert pid
        os.kill(pid, signal.SIGQUIT)

    def restart(number: int) -> None:
        if number in (COUNT // 3, 2 * COUNT // 3):
            crash()
            wait_until(lambda: not psutil.pid_exists(server.get_pid() or 0), "it is gone")
            at_a_random_moment(lambda: wait_until(starts, "PostgreSQL starts"))

    def starts() -> bool:
        """Start it; as long as processes of the old one are left, it refuses."""
        with suppress(subprocess.SubprocessError):
            server.ensure_postgres_running()
            return True
        return False

    load = stand.sign_up(visitor, during=restart)
    wait_until(visitor.is_served, "the database is back")
    stand.count(load, "database restarted under load", "2 restarts", again=2)


def dispose(app: Flask) -> None:
    """Close the connections of an application of this process."""
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("shared_stand", ["sqlite"], indirect=True)
def test_the_disk_is_full(stand: Stand) -> None:
    stand.worker()
    app = create_app("config.TestingConfig", **stand.settings)
    full = threading.Event()

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages if full.is_set() else 2**30}")

    with app.app_context():
        with sqlite3.connect(db.engine.url.database or "") as connection:
            connection.execute("VACUUM")  # what other tests left free would take the rows
        connection.close()
        event.listen(db.engine, "checkout", limit)
    guest = Guest(app, full.clear)
    load = stand.sign_up(guest, during=lambda _: full.set())
    dispose(app)
    assert guest.statuses == {302, 503}
    stand.count(load, "disk full")


@on_each_database
def test_the_connection_pool_is_exhausted(stand: Stand) -> None:
    stand.worker()
    pool = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}
    app = create_app("config.TestingConfig", SQLALCHEMY_ENGINE_OPTIONS=pool, **stand.settings)
    taken: list[Connection] = []

    def take(number: int) -> None:
        if now_and_then(number):
            with app.app_context():
                taken.append(db.engine.connect())

    guest = Guest(app, lambda: taken.pop().close())
    load = stand.sign_up(guest, during=take)
    while taken:
        taken.pop().close()
    dispose(app)
    assert guest.statuses == {302, 503}
    stand.count(load, "connection pool exhausted")


def test_many_reports_do_not_delay_a_mail(stand: Stand) -> None:
    stand.worker()
    report = {
        "task": jobs_tasks.report.name,
        "queue": jobs_tasks.report.job_queue,
        "arguments": {"args": [], "kwargs": {}},
        "max_attempts": 1,
        "due_at": utcnow(),
    }
    with stand.app.app_context():
        db.session.execute(insert(Job), [report] * REPORTS)
        db.session.commit()
    wait_until(lambda: stand.open_jobs() < REPORTS - 10, "both children do reports")
    begun = time.monotonic()
    load = stand.enqueue(1)
    wait_until(lambda: stand.sink.copies(load.prefix), "the mail")
    seconds, waiting = time.monotonic() - begun, stand.open_jobs()
    with stand.app.app_context():
        db.session.execute(update(Job).where(Job.state == QUEUED).values(state=CANCELLED))
        db.session.commit()
    stand.count(load, f"{REPORTS} reports wait", f"the mail left after {seconds:.1f} s")
    assert waiting > REPORTS * 0.9
