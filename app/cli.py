"""Commands of the whole application."""

import sys

import click
from celery import Celery
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext
from sqlalchemy import Engine
from werkzeug.utils import import_string

from app.core import checks
from app.extensions import db

SECONDS = 5.0


def register_commands(app: Flask) -> None:
    """Add `flask doctor`, and `flask db` where the command line asks for it."""
    app.cli.add_command(doctor)
    context = click.get_current_context(silent=True)
    if context and context.find_object(ScriptInfo):
        # Alembic takes as long to import as everything else here; no server needs it.
        import_string("flask_migrate.Migrate")(app, db)


@click.command
@with_appcontext
def doctor() -> None:
    """Check that what the application depends on answers, and say what to do where not."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    remedies = {
        "database": (checks.database, "Start it, or correct DATABASE_URL."),
        "migrations": (_migrations, "Run `make migrate`."),
        "broker": (checks.broker, "Start it, or correct CELERY_BROKER_URL."),
        "worker": (_worker, "Start `celery -A celery_worker.celery worker`."),
        "mail server": (
            checks.smtp,
            "Start it, or correct MAIL_SERVER and the other MAIL_ settings.",
        ),
    }
    failures = 0
    click.echo(f"ok    configuration  {app.config['APP_NAME']} can start with it.")
    for name, (probe, remedy) in remedies.items():
        failure = checks.failure_of(probe, app, SECONDS)
        if failure:
            failures += 1
            click.echo(f"FAIL  {name:<14} {failure.rstrip('.')}. {remedy}")
        else:
            click.echo(f"ok    {name}")
    if failures:
        sys.exit(1)


def _migrations(app: Flask) -> None:
    """Raise RuntimeError when the database has not had every migration."""
    with app.app_context():
        settings = app.extensions["migrate"].migrate.get_config()
        scripts = import_string("alembic.script.ScriptDirectory").from_config(settings)
        head = scripts.get_current_head()
        if _revision(db.engine) != head:
            raise RuntimeError("the database lacks the newest migrations")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        context = import_string("alembic.runtime.migration.MigrationContext")
        return context.configure(connection).get_current_revision()


def _worker(app: Flask) -> None:
    """Raise RuntimeError when no worker answers a ping."""
    celery: Celery = app.extensions["celery"]
    if not celery.control.ping(timeout=2.0):
        raise RuntimeError("no worker answers")
