"""Hints lead workers on, and do not fill the broker."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.jobs import relay, runner, sweep
from app.jobs.models import QUEUED, SUCCEEDED, Job
from tests.jobs_tasks import note


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
    """A worker that is led on passes on another hint, so where many wait nobody is led on."""
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
