"""Durable jobs: work that a committed transaction promised is done, whatever dies."""

import logging

from flask import Flask


def init_app(app: Flask) -> None:
    """Hint after each commit, sweep in each worker, and add the `flask jobs` commands."""
    from app.jobs import cli, housekeeping, relay, sweep  # noqa: F401 - tasks register themselves

    relay.init_app(app)
    celery = app.extensions["celery"]
    celery.steps["worker"].add(sweep.Sweeper)
    for name in (
        "celery.worker.strategy",
        "celery.worker.request",
        "celery.app.trace",
        "celery.beat",
    ):
        logging.getLogger(name).addFilter(sweep.is_worth_a_line)
    celery.conf.beat_schedule = sweep.BEAT
    app.cli.add_command(cli.jobs)
