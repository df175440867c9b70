"""Enqueueing: a job exists exactly if its transaction was committed, and takes what fits."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.extensions import db
from app.jobs import services, store
from app.jobs.models import CANCELLED, DEAD, HELD, SUCCEEDED, Heartbeat, Job, moment
from app.jobs.relay import JobsNotCommitted
from app.jobs.task import ArgumentsRefused
from app.models import utcnow
from app.tasks import send_email
from tests.jobs_support import command
from tests.jobs_tasks import keep_secret, note


def jobs() -> list[Job]:
    db.session.rollback()
    return list(db.session.scalars(select(Job).order_by(Job.created_at)))


def test_a_commit_makes_the_job_and_sends_one_hint(app: Flask, hints: Callable[[], int]) -> None:
    with app.app_context():
        job = note.delay_on_commit("path")
        db.session.flush()
        assert hints() == 0
        db.session.commit()
        assert [one.id for one in jobs()] == [job.id]
        assert hints() == 1
        db.session.commit()
        assert hints() == 1


def test_a_rollback_leaves_nothing(app: Flask, hints: Callable[[], int]) -> None:
    with app.app_context():
        note.delay_on_commit("path")
        db.session.rollback()
        db.session.commit()
        assert jobs() == []
        assert hints() == 0


def test_a_released_savepoint_waits_for_the_commit(app: Flask, hints: Callable[[], int]) -> None:
    with app.app_context():
        with db.session.begin_nested():
            note.delay_on_commit("path")
        assert hints() == 0
        db.session.commit()
        assert len(jobs()) == 1
        assert hints() == 1


def test_a_released_savepoint_in_a_rollback_leaves_nothing(
    app: Flask, hints: Callable[[], int]
) -> None:
    with app.app_context():
        with db.session.begin_nested():
            note.delay_on_commit("path")
        db.session.rollback()
        assert jobs() == []
        assert hints() == 0


def test_only_the_jobs_of_a_savepoint_are_undone_with_it(
    app: Flask, hints: Callable[[], int]
) -> None:
    with app.app_context():
        kept = note.delay_on_commit("kept")
        savepoint = db.session.begin_nested()
        with db.session.begin_nested():
            note.delay_on_commit("inner")
        note.delay_on_commit("outer")
        savepoint.rollback()
        db.session.commit()
        assert [job.id for job in jobs()] == [kept.id]
        assert hints() == 1


def test_a_flush_that_fails_in_a_savepoint_spares_the_jobs_before_it(
    app: Flask, hints: Callable[[], int]
) -> None:
    with app.app_context():
        db.session.add(Heartbeat(name="twice", beaten_at=utcnow()))
        db.session.commit()
        note.delay_on_commit("kept")
        db.session.flush()
        db.session.expunge_all()
        with pytest.raises(IntegrityError), db.session.begin_nested():  # noqa: PT012
            note.delay_on_commit("undone")
            db.session.add(Heartbeat(name="twice", beaten_at=utcnow()))
            db.session.flush()
        db.session.commit()
        assert [job.arguments["args"] for job in jobs()] == [["kept"]]
        assert hints() == 1


def test_a_job_nobody_commits_is_shouted_about(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(JobsNotCommitted, match=r"tests\.jobs_tasks\.note"), app.app_context():
        note.delay_on_commit("path")
    assert "never committed" in caplog.text
    with app.app_context():
        assert not db.session.new
        assert jobs() == []


def test_a_failure_of_the_caller_is_not_hidden(app: Flask) -> None:
    with pytest.raises(LookupError), app.app_context():  # noqa: PT012
        note.delay_on_commit("path")
        raise LookupError


def test_outside_of_debugging_it_is_an_error_in_the_log(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    app.testing = False
    with app.app_context():
        note.delay_on_commit("path")
    assert "never committed" in caplog.text


def test_a_dedupe_key_makes_one_job(app: Flask) -> None:
    with app.app_context():
        first = note.apply_async_on_commit(["a"], dedupe_key="key").id
        second = note.apply_async_on_commit(["b"], dedupe_key="key").id
        db.session.commit()
        third = note.apply_async_on_commit(["c"], dedupe_key="key").id
        db.session.commit()
        assert first == second == third
        assert [job.arguments["args"] for job in jobs()] == [["a"]]


def test_a_dedupe_key_holds_in_transactions_at_once(app: Flask) -> None:
    both = threading.Barrier(2)
    found: list[uuid.UUID] = []

    def enqueue() -> None:
        with app.app_context():
            both.wait()
            found.append(note.apply_async_on_commit(["x"], dedupe_key="race").id)
            db.session.commit()

    threads = [threading.Thread(target=enqueue) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.app_context():
        assert [job.id for job in jobs()] == [found[0]]
        assert found[0] == found[1]


def test_what_a_caller_may_choose_is_in_the_row(app: Flask, hints: Callable[[], int]) -> None:
    with app.app_context():
        later = utcnow() + timedelta(hours=1)
        job = note.apply_async_on_commit(
            ["p"], {"text": "t"}, eta=later, queue="long", priority=1, owner=7
        )
        db.session.commit()
        assert (job.due_at, job.queue, job.priority, job.owner) == (later, "long", 1, "7")
        assert job.arguments == {"args": ["p"], "kwargs": {"text": "t"}}
        assert [one.id for one in services.newest(owner=7)] == [job.id]
        soon = note.apply_async_on_commit(["p"], countdown=60)
        db.session.commit()
        assert 50 < (soon.due_at - soon.created_at).total_seconds() < 70
        assert hints() == 0, "a job that is not due yet is hinted by a sweep"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("path", uuid.uuid4()), "UUID is not JSON serializable"),
        (("path", float("nan")), "not JSON compliant"),
        (("path", "x" * 65536), "65\\d+ bytes of JSON, and 65536 is the limit"),
        ((), "missing a required argument: 'path'"),
        (("path", "text", "secret", "more"), "too many positional arguments"),
    ],
)
def test_arguments_are_checked_before_the_commit(
    app: Flask, arguments: tuple[object, ...], words: str
) -> None:
    with app.app_context():
        with pytest.raises(ArgumentsRefused, match=words):
            note.delay_on_commit(*arguments)
        db.session.commit()
        assert jobs() == []


def test_a_cancel_reaches_a_job_that_is_queued_again_meanwhile(app: Flask) -> None:
    with app.app_context():
        job = note.delay_on_commit("x")
        db.session.commit()
        lease = uuid.uuid4()
        store.claim(db.session(), lease, 60, job.id)
        db.session.commit()

        failed: list[bool] = []

        def fail_first(connection: Connection, _: object, statement: str, *__: object) -> None:
            if "SET cancelling" in statement and not failed:
                failed.append(True)
                store.fail(Session(connection), job.id, lease, "no soup", 0.0)

        event.listen(db.engine, "before_cursor_execute", fail_first)
        services.cancel(job.id)
        event.remove(db.engine, "before_cursor_execute", fail_first)
        assert failed
        db.session.commit()
        db.session.refresh(job)
        assert job.state == CANCELLED or job.cancelling


def test_secret_arguments_are_stars(app: Flask) -> None:
    with app.app_context():
        job = keep_secret.delay_on_commit("soup", secret="recipe")
        mail = send_email.delay_on_commit("a@example.com", "auth/welcome", {"link": "https://x"})
        db.session.commit()
        assert services.shown_arguments(job) == {"name": "soup", "secret": services.STARS}
        assert services.shown_arguments(mail)["context"] == services.STARS
        shown = app.test_cli_runner().invoke(args=["jobs", "show", str(job.id)]).output
        assert "recipe" not in shown
        assert "soup" in shown
        job.arguments = {"args": [], "kwargs": {"none": "recipe"}}
        assert "recipe" not in str(services.shown_arguments(job))
        job.task = "tests.nobody.knows"
        assert "recipe" not in str(services.shown_arguments(job))
        db.session.rollback()


def test_a_purge_keeps_what_is_young(app: Flask) -> None:
    ages = {SUCCEEDED: (6, 8), DEAD: (89, 91), CANCELLED: (6, 8), HELD: (89, 91)}
    with app.app_context():
        for state, days in ages.items():
            for day in days:
                values = {"arguments": {}, "max_attempts": 1, "due_at": moment()}
                job = Job(task="t", queue="default", state=state, **values)
                job.finished_at = moment(-86400.0 * day)
                job.note = str(day)
                db.session.add(job)
        db.session.commit()
        assert "4 jobs are deleted" in command(app, "purge")
        db.session.rollback()
        left = {(job.state, job.note) for job in db.session.scalars(select(Job))}
        assert left == {(state, str(days[0])) for state, days in ages.items()}
