"""Secret arguments of jobs, links in mails above all: a copy of the database holds none."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import select, text

from app.extensions import db
from app.jobs import runner
from app.jobs.arguments import UNREADABLE, Sealed
from app.jobs.models import DEAD, Job
from app.tasks import send_email
from tests import jobs_tasks as tasks
from tests.auth_support import PASSWORD, add_user, sign_in
from tests.jobs_support import read
from tests.support import post

EMAIL = "ada@example.com"


def stored(app: Flask) -> str:
    """Return all arguments of jobs as somebody sees them who has a copy of the database."""
    with app.app_context():
        return str(db.session.execute(text("SELECT arguments FROM jobs")).all())


def test_no_link_can_be_read_from_a_copy_of_the_database(app: Flask) -> None:
    client = app.test_client()
    post(client, "/users/register", email="new@example.com", password=PASSWORD)
    sign_in(client, add_user(app, EMAIL))
    post(client, "/users/change-email", email="other@example.com")
    post(client, "/users/reset", email=EMAIL)
    app.test_cli_runner().invoke(args=["auth", "create-admin", "grace@example.com", "--mail"])
    with app.app_context():
        jobs = db.session.scalars(select(Job)).all()
        links = [str(job.arguments["args"][2]).count("http://") for job in jobs]
    assert links == [1] * 4, "the worker can read them"
    for word in ("http:", "https:", "/users/", "@example.com"):
        assert word not in stored(app)
    with app.app_context():
        for job in db.session.scalars(select(Job)):
            job.arguments = Sealed({**job.arguments, "args": ["https://x"]})
        db.session.commit()
    assert "https:" not in stored(app), "nor when a row is written again"


def test_arguments_that_are_no_secret_stay_readable(app: Flask) -> None:
    with app.app_context():
        tasks.note.delay_on_commit("soup")
        db.session.commit()
    assert "soup" in stored(app)


def test_rows_from_before_are_read_as_they_are(app: Flask) -> None:
    with app.app_context():
        job = send_email.delay_on_commit(EMAIL, "auth/mail/locked", {"tries": 5})
        job.arguments = dict(job.arguments)
        db.session.commit()
        number = job.id
    assert EMAIL in stored(app)
    with app.app_context():
        assert db.session.get_one(Job, number).arguments["args"][0] == EMAIL


def test_a_job_that_cannot_be_read_is_kept_as_dead_with_the_reason(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    with app.app_context():
        job = send_email.delay_on_commit(EMAIL, "auth/mail/locked", {"tries": 5})
        db.session.commit()
        number = job.id
    other = make_app(SECURITY_PASSWORD_SALT="another")
    task = other.extensions["celery"].tasks["app.tasks.send_email"]
    runner.drain(task, str(number), "mail")
    assert read(app, number).state == DEAD
    assert UNREADABLE in (read(app, number).error or "")
    with app.app_context():
        assert db.session.get_one(Job, number).arguments["args"][0] == EMAIL, "to be replayed"
