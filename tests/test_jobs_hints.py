"""Hints lead workers on, and do not fill the broker."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.jobs import relay, runner, sweep
from app.jobs.models import QUEUED, SUCCEEDED, Job
from tests.jobs_tasks import note
from tests.support import Valkey


def states() -> list[str]:
    """Return the states of all jobs, oldest first."""
    db.session.rollback()
    return [job.state for job in db.session.scalars(select(Job).order_by(Job.created_at))]


def test_a_sweep_does_not_fill_the_broker(
    app: Flask, hints: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hinter = app.extensions["hinter"]
    with app.app_context():
        lonely = [(uuid.uuid4(), "some.task", "default", 5) for _ in range(100)]
        before = hints()
        sweep.hint(hinter, lonely)
        assert hints() == before + relay.ENOUGH
        monkeypatch.setattr(sweep, "FULL", relay.ENOUGH)
        sweep.hint(hinter, lonely)
        assert hints() == before + relay.ENOUGH


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


def test_hints_for_what_is_done_do_not_pile_up(
    app: Flask, hints: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is led on passes on another hint, so where many wait new hints vanish."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        first = note.delay_on_commit(str(tmp_path / "notes"), "first")
        note.delay_on_commit(str(tmp_path / "notes"), "second")
        db.session.commit()
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        sweep.hint(app.extensions["hinter"], [(uuid.uuid4(), "x", "default", 5)] * relay.ENOUGH)
        before = hints()
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        assert states() == [SUCCEEDED, QUEUED]
        assert hints() == before


def test_a_hint_that_was_passed_on_leads_on_however_many_wait(
    app: Flask, hints: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another task, with many messages in the same queue, would take this one's workers."""
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        first = note.delay_on_commit(str(tmp_path / "notes"), "first")
        note.delay_on_commit(str(tmp_path / "notes"), "second")
        note.delay_on_commit(str(tmp_path / "notes"), "third")
        db.session.commit()
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        sweep.hint(app.extensions["hinter"], [(uuid.uuid4(), "x", "default", 5)] * relay.ENOUGH)
        before = hints()
        runner.drain(note, str(first.id), "default", passed_on=True)  # type: ignore[arg-type]
        assert states() == [SUCCEEDED, SUCCEEDED, QUEUED]
        assert hints() == before + 1, "one for one"
        runner.drain(note, str(first.id), "default", passed_on=True)  # type: ignore[arg-type]
        runner.drain(note, str(first.id), "default", passed_on=True)  # type: ignore[arg-type]
        assert states() == [SUCCEEDED] * 3
        assert hints() == before + 1, "nothing is left to be passed on"


def test_what_is_passed_on_says_so_and_keeps_the_priority_of_its_job(
    app: Flask, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.0)
    with app.app_context():
        first = note.delay_on_commit(str(tmp_path / "notes"), "first")
        later = note.apply_async_on_commit([str(tmp_path / "notes")], priority=9)
        db.session.commit()
        valkey.empty(1)
        runner.drain(note, str(first.id), "default")  # type: ignore[arg-type]
        later_id = str(later.id)
    with redis.from_url(valkey.url(1)) as connection:
        (message,) = connection.lrange("default\x06\x169", 0, -1)  # type: ignore[misc]
    headers = json.loads(message)["headers"]
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
    assert not hinter.holds("default", 1)
    before = hinter._producer()
    assert not hinter.holds("default", 1)
    assert hinter._producer() is before


def test_a_silent_broker_is_asked_nothing_for_a_while(
    make_app: Callable[..., Flask], silent_port: int
) -> None:
    hinter = make_app(CELERY_BROKER_URL=f"redis://127.0.0.1:{silent_port}/0").extensions["hinter"]
    assert not hinter.holds("default", 1)
    assert hinter._silent_until > time.monotonic()
    assert not hinter.hint(str(uuid.uuid4()), "some.task", "default", 5)
