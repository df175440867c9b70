"""Looking at jobs in tests."""

import uuid

from flask import Flask

from app.extensions import db
from app.jobs.models import CLOSED, Job
from tests.support import wait_until


def read(app: Flask, job_id: uuid.UUID) -> Job:
    with app.app_context():
        job = db.session.get_one(Job, job_id)
        db.session.expunge(job)
        return job


def ended(app: Flask, job_id: uuid.UUID) -> Job:
    wait_until(lambda: read(app, job_id).state in CLOSED, "the job is over")
    return read(app, job_id)


def command(app: Flask, *words: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=["jobs", *words])
    assert result.exit_code == code, result.output
    return result.output
