"""Does what we depend on answer? Asked by `/readyz` and by `flask doctor`.

A probe raises when it fails, Doubt when what it looks at works but not as it should, and may
return what it saw.
"""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celery import Celery
from flask import Flask
from kombu import Connection
from sqlalchemy import text
from werkzeug.utils import import_string

from app.core.celery import QUEUES
from app.extensions import db

Probe = Callable[[Flask], str | None]
SPACE = 500  # MB that should be free


class Doubt(Exception):
    """It works, but somebody should look at it."""


@dataclass(frozen=True)
class Finding:
    """What came of a probe."""

    verdict: Literal["ok", "warn", "FAIL"]
    words: str


def database(app: Flask) -> None:
    """Ask the database for one row; raises what the driver raises."""
    with app.app_context(), db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def migrations(app: Flask) -> str:
    """Return the newest migration; raises RuntimeError when the database has not had it."""
    context = import_string("alembic.runtime.migration.MigrationContext")
    with app.app_context(), db.engine.connect() as connection:
        settings = app.extensions["migrate"].migrate.get_config()
        scripts = import_string("alembic.script.ScriptDirectory").from_config(settings)
        head = scripts.get_current_head()
        had = context.configure(connection).get_current_revision()
    if had != head:
        raise RuntimeError(f"The database is at {had or 'no migration'}, the code at {head}.")
    return head


def broker(app: Flask) -> None:
    """Open a connection to the broker of its own; raises what the transport raises."""
    url = app.config["CELERY"]["broker_url"]
    bounds = {} if url.startswith("amqp") else {"socket_timeout": 1, "socket_connect_timeout": 1}
    with Connection(url, connect_timeout=1, transport_options=bounds) as connection:
        connection.connect()


def rate_limits(app: Flask) -> str | None:
    """Ask the store in which the requests of visitors are counted; raises Doubt."""
    limiter = app.extensions["rate_limits"]
    if not limiter.enabled:
        return "turned off"
    if not limiter.storage.check():
        raise Doubt("Their store does not answer, so each process counts by itself.")
    return None


def workers(app: Flask) -> str:
    """Count the workers; raises RuntimeError without any, or when a queue has none."""
    celery: Celery = app.extensions["celery"]
    answers = celery.control.inspect(timeout=2.0).active_queues() or {}
    if not answers:
        raise RuntimeError("No worker answers.")
    taken = {queue["name"] for queues in answers.values() for queue in queues}
    if left := [queue for queue in QUEUES if queue not in taken]:
        raise RuntimeError(f"No worker takes from the queues {', '.join(left)}.")
    return f"{len(answers)} of them, with all queues"


def smtp(app: Flask) -> str:
    """Greet the mail server, with encryption and sign-in as configured, and send nothing."""
    app.extensions["smtp"].check()
    if not app.config["MAIL_USERNAME"]:
        return "no sign-in"
    if not (app.config["MAIL_USE_TLS"] or app.config["MAIL_USE_SSL"]):
        raise Doubt("The password travels there unencrypted.")
    return "signed in"


def proxies(app: Flask) -> str:
    """Compare PROXY_HOPS with what this configuration needs; raises Doubt.

    Only a request could tell how many proxies there are. But with cookies for HTTPS alone, which
    none of our servers speaks, there must be one.
    """
    hops = app.config["PROXY_HOPS"]
    if app.config["SESSION_COOKIE_SECURE"] and not hops:
        raise Doubt(
            "PROXY_HOPS is 0, so all visitors share the address of the proxy that speaks HTTPS: "
            "in the log, and when requests are limited."
        )
    return f"{hops} believed"


def disk(app: Flask) -> str:
    """Return how much is free where we write; raises RuntimeError when it is too little."""
    with app.app_context():
        url = db.engine.url
    written = [app.instance_path, app.config["LOG_FILE"]]
    if url.drivername.startswith("sqlite") and url.database:
        written.append(url.database)
    paths = [Path(path).absolute() for path in written if path]
    places = {next(place for place in (path, *path.parents) if place.exists()) for path in paths}
    free = {place: shutil.disk_usage(place).free // 1_000_000 for place in places}
    place = min(free, key=lambda place: free[place])
    if free[place] < SPACE:
        raise RuntimeError(f"{free[place]} MB are free at {place}, and {SPACE} should be.")
    return f"{free[place] / 1000:.1f} GB free"


def failure_of(probe: Probe, app: Flask, seconds: float) -> str | None:
    """Return why `probe` failed, or None if it succeeded within `seconds`."""
    finding = examine(probe, app, seconds)
    return finding.words if finding.verdict == "FAIL" else None


def examine(probe: Probe, app: Flask, seconds: float) -> Finding:
    """Return what `probe` finds within `seconds`.

    The probe runs in a thread, because no driver bounds every step of connecting.
    """
    outcome = [Finding("FAIL", f"no answer within {seconds:g} s")]

    def attempt() -> None:
        try:
            outcome[0] = Finding("ok", probe(app) or "")
        except Doubt as doubt:
            outcome[0] = Finding("warn", str(doubt))
        except RuntimeError as error:
            outcome[0] = Finding("FAIL", str(error))
        except Exception as error:
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            outcome[0] = Finding("FAIL", words)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0]
