"""Jobs done by a real worker: how they end, are stopped, repeated and shown."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.extensions import db
from app.jobs import services
from app.jobs.models import (
    CANCELLED,
    DEAD,
    HELD,
    OPEN,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Heartbeat,
    Job,
    moment,
)
from tests import jobs_tasks as tasks
from tests.jobs_support import command, ended, read
from tests.support import Inbox, Process, Valkey, wait_until

Enqueue = Callable[..., uuid.UUID]
DAY = 86400.0


@pytest.fixture(scope="module")
def jobs_database_url(new_database: Callable[[str], str]) -> str:
    """Return the address of the database of `jobs_worker`."""
    return new_database("jobs")


@pytest.fixture(scope="module")
def jobs_worker(jobs_database_url: str, valkey: Valkey, smtp: Inbox) -> Iterator[Process]:
    """Return a worker that knows the tests' tasks."""
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": jobs_database_url,
        "CELERY_BROKER_URL": valkey.url(5),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(smtp.port),
        "ADMINS": "admin@example.com",
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.jobs_worker.celery", "worker"]
    process = Process([*command, "--loglevel=info", "--concurrency=2"], environment)
    process.wait_for(r"ready\.")
    yield process
    process.stop()


@pytest.fixture
def app(
    make_app: Callable[..., Flask],
    jobs_database_url: str,
    valkey: Valkey,
    jobs_worker: Process,
    inbox: Inbox,
) -> Iterator[Flask]:
    """Return an application whose jobs are done, and wait for the last before it is emptied."""
    app = make_app(DATABASE_URL=jobs_database_url, CELERY_BROKER_URL=valkey.url(5))
    yield app
    with app.app_context():
        db.session.execute(update(Job).where(Job.state == QUEUED).values(state=CANCELLED))
        db.session.commit()

    def idle() -> bool:
        with app.app_context():
            return db.session.scalar(select(Job.id).where(Job.state.in_(OPEN))) is None

    wait_until(idle, "no job runs")


@pytest.fixture
def enqueue(app: Flask) -> Enqueue:
    """Return a function that commits a job of a task."""

    def enqueue(task: Any, *args: object, **options: Any) -> uuid.UUID:
        with app.app_context():
            job = task.apply_async_on_commit(args, **options)
            db.session.commit()
            return job.id

    return enqueue


def test_what_a_task_writes_is_committed_with_its_success(app: Flask, enqueue: Enqueue) -> None:
    job = ended(app, enqueue(tasks.write_row, "kept"))
    assert (job.state, job.attempts, job.lease) == (SUCCEEDED, 1, None)
    assert ended(app, enqueue(tasks.write_row, "undone", True)).state == DEAD
    with app.app_context():
        assert db.session.get(Heartbeat, "kept")
        assert db.session.get(Heartbeat, "undone") is None


def test_a_result_is_kept_and_one_that_is_no_json_is_refused(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    assert ended(app, enqueue(tasks.note, str(tmp_path / "n"), "soup")).result == {"text": "soup"}
    job = ended(app, enqueue(tasks.return_what_is_no_json))
    assert (job.state, job.attempts) == (DEAD, 1)
    assert "no JSON" in str(job.error)


def test_a_failure_is_tried_again_until_the_limit(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    job = ended(app, enqueue(tasks.fail_always, str(tmp_path / "runs")))
    assert (job.state, job.attempts) == (DEAD, 3)
    assert "soup is cold" in str(job.error)
    assert (tmp_path / "runs").read_text().split() == ["1", "2", "3"]


@pytest.mark.parametrize("kind", ["permanent", "named"])
def test_a_failure_for_good_is_not_tried_again(app: Flask, enqueue: Enqueue, kind: str) -> None:
    job = ended(app, enqueue(tasks.fail_for_good, kind))
    assert (job.state, job.attempts) == (DEAD, 1)


@pytest.mark.parametrize("by_task", [False, True])
def test_a_dead_job_is_replayed(
    app: Flask, enqueue: Enqueue, tmp_path: Path, by_task: bool
) -> None:
    path = tmp_path / "file"
    job_id = enqueue(tasks.needs_file, str(path))
    assert ended(app, job_id).state == DEAD
    assert str(job_id) in command(app, "list", "--state", "dead")
    path.touch()
    words = ["--task", "tests.jobs_tasks.needs_file"] if by_task else [str(job_id)]
    assert "1 jobs are queued" in command(app, "replay", *words)
    wait_until(lambda: read(app, job_id).state == SUCCEEDED, "the job is done")


def test_a_task_that_leaves_python_fails(app: Flask, enqueue: Enqueue, tmp_path: Path) -> None:
    job = ended(app, enqueue(tasks.leave_python, str(tmp_path / "runs")))
    assert (job.state, job.attempts) == (DEAD, 3)
    assert "SystemExit: no soup" in str(job.error)
    assert (tmp_path / "runs").read_text().split() == ["1", "2", "3"]


def test_a_task_may_call_itself(app: Flask, enqueue: Enqueue, tmp_path: Path) -> None:
    assert ended(app, enqueue(tasks.count_down, str(tmp_path / "n"), 2)).state == SUCCEEDED
    assert (tmp_path / "n").read_text().split() == ["2", "1", "0"]


def test_an_error_that_no_database_takes_is_kept_without_that(app: Flask, enqueue: Enqueue) -> None:
    job = ended(app, enqueue(tasks.fail_for_good, "unprintable"))
    assert (job.state, job.attempts, job.error) == (DEAD, 1, "half a ? and a zero")


def test_arguments_that_no_longer_fit_are_dead_and_kept(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    job_id = enqueue(tasks.note, str(tmp_path / "n"), countdown=3600)
    with app.app_context():
        job = db.session.get_one(Job, job_id)
        job.arguments = {"args": [], "kwargs": {"none": 1}}
        job.due_at = moment()
        db.session.commit()
    job = ended(app, job_id)
    assert (job.state, job.attempts) == (DEAD, 1)
    assert "do not fit" in str(job.error)
    with app.app_context():
        db.session.get_one(Job, job_id).arguments = {"args": [str(tmp_path / "n")], "kwargs": {}}
        services.replay([job_id])
        db.session.commit()
    wait_until(lambda: read(app, job_id).state == SUCCEEDED, "the job is done")


def test_a_queued_job_is_cancelled_at_once(app: Flask, enqueue: Enqueue) -> None:
    job_id = enqueue(tasks.heartbeats, countdown=3600)
    assert "cancelled" in command(app, "cancel", str(job_id))
    assert read(app, job_id).state == CANCELLED


def test_progress_shows_and_a_running_job_stops_when_asked(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    job_id = enqueue(tasks.count_to_gate, str(tmp_path / "gate"))
    wait_until(lambda: (read(app, job_id).done or 0) > 1, "progress")
    job = read(app, job_id)
    assert (job.state, job.total, job.note) == (RUNNING, 10_000, f"step {job.done}")
    assert "running" in command(app, "cancel", str(job_id))
    job = ended(app, job_id)
    assert (job.state, job.attempts) == (CANCELLED, 1)


def test_a_job_that_outlasts_its_lease_keeps_it(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    job_id = enqueue(tasks.wait_at_gate, str(runs), str(gate))
    wait_until(runs.exists, "the job runs")
    first = read(app, job_id).due_at
    wait_until(lambda: (read(app, job_id).due_at - first).total_seconds() > 4, "a longer lease")
    gate.touch()
    job = ended(app, job_id)
    assert (job.state, job.attempts) == (SUCCEEDED, 1)


def test_urgent_jobs_are_done_first(app: Flask, enqueue: Enqueue, tmp_path: Path) -> None:
    gate, runs, notes = tmp_path / "gate", tmp_path / "runs", tmp_path / "notes"
    for _ in range(2):
        enqueue(tasks.wait_at_gate, str(runs), str(gate))
    wait_until(lambda: runs.exists() and len(runs.read_text().splitlines()) == 2, "both wait")
    priorities = (9, 9, 9, 9, 9, 9, 9, 9, 0)
    jobs = [enqueue(tasks.note, str(notes), str(p), priority=p) for p in priorities]
    gate.touch()
    for job_id in jobs:
        assert ended(app, job_id).state == SUCCEEDED
    *others, urgent = [read(app, job_id).started_at for job_id in jobs]
    assert urgent
    assert sum(one < urgent for one in others if one) <= 4


def test_what_failed_after_its_handoff_is_held(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    job = ended(app, enqueue(tasks.hand_off, str(tmp_path / "sent"), "fail"))
    assert job.state == HELD
    assert (tmp_path / "sent").read_text().split() == ["fail"]


def test_a_job_enqueues_another_in_its_own_transaction(
    app: Flask, enqueue: Enqueue, tmp_path: Path
) -> None:
    assert ended(app, enqueue(tasks.enqueue_another, str(tmp_path / "n"))).state == SUCCEEDED
    wait_until((tmp_path / "n").exists, "the second job is done")


def test_the_schedule_is_made_up_for_once(app: Flask, jobs_worker: Process) -> None:
    with app.app_context():
        schedule = db.session.get(Heartbeat, "schedule", with_for_update=True)
        assert schedule or wait_until(
            lambda: db.session.get(Heartbeat, "schedule", populate_existing=True), "a sweep"
        )
        db.session.rollback()
        last = update(Heartbeat).where(Heartbeat.name == "schedule")

        def ticks() -> list[str | None]:
            purges = select(Job.dedupe_key).where(Job.task == "app.jobs.housekeeping.purge")
            planted = list(db.session.scalars(purges))
            if not planted:  # a sweep that has read the moment already writes its own over this one
                db.session.execute(last.values(beaten_at=moment(-2 * DAY)))
            db.session.commit()
            return planted

        wait_until(lambda: len(ticks()) == 2, "a tick for each day", every=1.0)
        for _ in range(3):
            app.extensions["hinter"].send("app.jobs.sweep.sweep", "sweep")
        assert len(set(ticks())) == 2


def test_the_dead_are_reported_to_the_administrators(
    app: Flask, enqueue: Enqueue, inbox: Inbox
) -> None:
    ended(app, enqueue(tasks.fail_for_good, "permanent"))
    report = app.extensions["celery"].tasks["app.jobs.housekeeping.report_dead"]
    assert ended(app, enqueue(report)).result == 1
    assert "no such soup" in inbox.wait_for("admin@example.com").as_string()


def test_numbers_and_health(app: Flask, enqueue: Enqueue, tmp_path: Path) -> None:
    ended(app, enqueue(tasks.note, str(tmp_path / "n")))
    assert "tests.jobs_tasks.note" in command(app, "stats")
    wait_until(lambda: health(app) == 0, "a sweep")
    assert "Jobs are being done" in command(app, "health")
    enqueue(tasks.note, "x", queue="nobody")
    wait_until(lambda: health(app, "--max-age", "0.1") == 1, "the job has waited")
    command(app, "show", str(uuid.uuid4()), code=1)
    command(app, "replay", code=2)


def health(app: Flask, *words: str) -> int:
    return app.test_cli_runner().invoke(args=["jobs", "health", *words]).exit_code
