"""Hints lead workers on, and do not fill the broker."""

import json
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.jobs import relay, runner, store, sweep
from app.jobs.models import QUEUED, SUCCEEDED, Job
from tests.jobs_tasks import note
from tests.support import Valkey, wait_until


def states() -> list[str]:
    """Return the states of all jobs, oldest first."""
    db.session.rollback()
    return [job.state for job in db.session.scalars(select(Job).order_by(Job.created_at))]


def newest(valkey: Valkey, step: int = 3) -> dict[str, Any]:
    """Return the headers of the newest message of ordinary priority, or of another step."""
    with redis.from_url(valkey.url(1)) as connection:
        (message,) = connection.lrange(f"default\x06\x16{step}", 0, 0)  # type: ignore[misc]
    return json.loads(message)["headers"]


def fill(app: Flask, count: int) -> None:
    """Send `count` hints of another task to the queue that these tests use."""
    for _ in range(count):
        assert app.extensions["hinter"].hint(str(uuid.uuid4()), "other.task", "default", 5)


@pytest.mark.parametrize(
    ("waiting", "added"), [(0, relay.ENOUGH), (relay.CROWDED, 1), (relay.FULL, 0)]
)
def test_a_sweep_does_not_fill_the_broker(
    app: Flask, hints: Callable[[], int], waiting: int, added: int
) -> None:
    """But a task whose hints were lost gets a worker where other tasks keep many waiting."""
    with app.app_context():
        fill(app, waiting)
        sweep.hint(app.extensions["hinter"], [(uuid.uuid4(), "some.task", "default", 5)] * 100)
        assert hints() == waiting + added


@pytest.mark.parametrize("is_at_work", [False, True])
def test_a_task_without_a_worker_gets_one_in_a_crowded_queue(
    app: Flask, valkey: Valkey, tmp_path: Path, is_at_work: bool
) -> None:
    """Else what failed once would wait until the backlog of another task is done."""
    with app.app_context():
        fill(app, relay.CROWDED)
        jobs = [note.delay_on_commit(str(tmp_path / "notes")) for _ in range(2)]
        note.apply_async_on_commit([str(tmp_path / "notes")], countdown=60)
        db.session.commit()
        if is_at_work:
            assert store.claim(db.session(), uuid.uuid4(), 30.0, jobs[0].id)
            db.session.commit()
        sweep.hint(app.extensions["hinter"], [(jobs[1].id, note.name, "default", 5)])
    assert newest(valkey)["passed_on"] is not is_at_work


def test_a_hint_for_what_is_done_leads_to_the_others(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that turn to other queues at once pass the same job on to both."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)  # one job for each hint
    with app.app_context():
        first = note.delay_on_commit(str(tmp_path / "notes"), "first")
        note.delay_on_commit(str(tmp_path / "notes"), "second")
        note.apply_async_on_commit([str(tmp_path / "notes")], queue="long")
        db.session.commit()
        for _ in range(3):
            runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        assert (tmp_path / "notes").read_text() == "first\nsecond\n"
        assert states() == [SUCCEEDED, SUCCEEDED, QUEUED]


def test_hints_that_came_with_their_jobs_do_not_pile_up(
    app: Flask, hints: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that leaves another is one more for as long as there is a backlog."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        jobs = [note.delay_on_commit(str(tmp_path / "notes")) for _ in range(4)]
        db.session.commit()
        runner.drain(note, str(jobs[0].id), "default")  # type: ignore[arg-type]
        assert hints() == 5, "it was passed on while few wait"
        fill(app, relay.CROWDED)
        before = hints()
        runner.drain(note, str(jobs[1].id), "default")  # type: ignore[arg-type]
        assert states() == [SUCCEEDED, SUCCEEDED, QUEUED, QUEUED], "a job of its own is done"
        runner.drain(note, str(jobs[1].id), "default")  # type: ignore[arg-type]
        assert states() == [SUCCEEDED, SUCCEEDED, QUEUED, QUEUED], "there is none"
        assert hints() == before


def test_a_hint_that_was_passed_on_leads_on_however_many_wait(
    app: Flask, hints: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another task, with many messages in the same queue, would take this one's workers."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        first = note.delay_on_commit(str(tmp_path / "notes"))
        for _ in range(2):
            note.delay_on_commit(str(tmp_path / "notes"))
        db.session.commit()
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        fill(app, relay.CROWDED)
        before = hints()
        for left in (1, 0, 0):
            runner.drain(note, str(first.id), "default", passed_on=True)  # type: ignore[arg-type]
            assert states().count(QUEUED) == left
        assert hints() == before + 1, "one for one, while there is something to be passed on"


@pytest.mark.parametrize(("priority", "step"), [(0, 3), (5, 3), (9, 9)])
def test_what_is_passed_on_says_so_and_comes_before_no_other(  # noqa: PLR0917
    app: Flask,
    valkey: Valkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    priority: int,
    step: int,
) -> None:
    """Kombu has lists for the priorities from 0, 3, 6 and 9 on, and empties one after the other."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        first = note.apply_async_on_commit([str(tmp_path / "notes")], priority=priority)
        later = note.apply_async_on_commit([str(tmp_path / "notes")], priority=priority)
        db.session.commit()
        later_id = str(later.id)
        valkey.empty(1)
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
    headers = newest(valkey, step)
    assert (headers["id"], headers["passed_on"]) == (later_id, True)


def test_a_worker_is_told_what_was_passed_on(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    drains: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        runner, "drain", lambda _, job, __, *, passed_on: drains.append((job, passed_on))
    )
    for headers in ({}, {"passed_on": False}, {"passed_on": True}):
        note.push_request(id="1", durable=True, **headers)
        note()
        note.pop_request()
    assert drains == [("1", False), ("1", False), ("1", True)]


def test_asking_an_empty_queue_keeps_the_connection(app: Flask) -> None:
    hinter = app.extensions["hinter"]
    assert hinter.waiting("default") == 0
    before = hinter._producer()
    assert hinter.waiting("default") == 0
    assert hinter._producer() is before


def test_no_row_is_locked_while_the_broker_is_told(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker may take its time, and the next job is waited for."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    free: list[int] = []

    def look(*_: object, **__: object) -> bool:
        with app.app_context():
            rows = db.session.scalars(select(Job.id).with_for_update(nowait=True)).all()
            free.append(len(rows))
        return True

    with app.app_context():
        first, _ = [note.delay_on_commit(str(tmp_path / "notes")) for _ in range(2)]
        db.session.commit()
        monkeypatch.setattr(app.extensions["hinter"], "hint", look)
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
    assert free == [2]


def test_rabbitmq_is_asked_too(make_app: Callable[..., Flask], rabbitmq: str) -> None:
    hinter = make_app(CELERY_BROKER_URL=rabbitmq).extensions["hinter"]
    queue = uuid.uuid4().hex
    assert hinter.waiting(queue) == 0, "there is no such queue"
    assert hinter.hint(str(uuid.uuid4()), "some.task", queue, 5)
    wait_until(lambda: hinter.waiting(queue) == 1, "RabbitMQ counted the message")
    # Who asks on a connection that is gone does not take the broker for gone.
    hinter._own.connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
    assert hinter.waiting(queue) == 0
    assert hinter.hint(str(uuid.uuid4()), "some.task", queue, 5)
    wait_until(lambda: hinter.waiting(queue) == 2, "RabbitMQ counted both")
    hinter.close()
