"""Does what we depend on answer? Asked by `/readyz` and by `flask doctor`."""

import threading
from collections.abc import Callable

from flask import Flask
from kombu import Connection
from sqlalchemy import text

from app.extensions import db

Probe = Callable[[Flask], None]


def database(app: Flask) -> None:
    """Ask the database for one row; raises what the driver raises."""
    with app.app_context(), db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def broker(app: Flask) -> None:
    """Open a connection to the broker of its own; raises what the transport raises."""
    url = app.config["CELERY"]["broker_url"]
    bounds = {} if url.startswith("amqp") else {"socket_timeout": 1, "socket_connect_timeout": 1}
    with Connection(url, connect_timeout=1, transport_options=bounds) as connection:
        connection.connect()


def smtp(app: Flask) -> None:
    """Greet the mail server, with encryption and sign-in as configured, and send nothing."""
    app.extensions["smtp"].check()


def failure_of(probe: Probe, app: Flask, seconds: float) -> str | None:
    """Return why `probe` failed, or None if it succeeded within `seconds`.

    The probe runs in a thread, because no driver bounds every step of connecting.
    """
    outcome: list[str | None] = [f"no answer within {seconds:g} s"]

    def attempt() -> None:
        try:
            probe(app)
            outcome[0] = None
        except Exception as error:
            outcome[0] = f"{type(error).__name__}: {error}".splitlines()[0]

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0]
