"""Connections that a database server ended are noticed before a visitor meets an error."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import event, text

from app import create_app
from app.core import database
from app.extensions import db
from tests.conftest import create_database


@pytest.fixture
def app(postgresql: str) -> Iterator[Flask]:
    """Return an application on a PostgreSQL database."""
    url = create_database(postgresql, "connections")
    app = create_app("config.TestingConfig", DATABASE_URL=url)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Return a list of what the server is asked, pings included."""
    asked: list[str] = []
    with app.app_context():
        engine = db.engine
    do_ping = engine.dialect.do_ping

    def ping(connection: object) -> bool:
        asked.append("ping")
        return do_ping(connection)  # type: ignore[arg-type]

    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    engine.dialect.do_ping = ping  # type: ignore[method-assign]
    yield asked
    engine.dialect.do_ping = do_ping  # type: ignore[method-assign]


def process_of_server(app: Flask) -> int:
    """Return which of the server's processes answers."""
    with app.app_context():
        return db.session.scalar(text("SELECT pg_backend_pid()"))  # type: ignore[return-value]


@pytest.fixture
def end(postgresql: str) -> Iterator[Callable[[int], None]]:
    """Return a function that ends a process of the server, as its restart does to all."""
    other = create_app("config.TestingConfig", DATABASE_URL=postgresql)

    def end(process: int) -> None:
        with other.app_context():
            ended = db.session.scalar(text(f"SELECT pg_terminate_backend({process}, 5000)"))
        assert ended

    yield end
    with other.app_context():
        db.engine.dispose()


def test_a_connection_that_was_just_used_is_used_again_unasked(
    app: Flask, statements: list[str]
) -> None:
    process = process_of_server(app)
    assert process_of_server(app) == process
    assert statements == ["SELECT pg_backend_pid()"] * 2


def test_a_connection_that_the_server_ended_is_replaced(
    app: Flask, end: Callable[[int], None]
) -> None:
    process = process_of_server(app)
    end(process)
    assert process_of_server(app) != process


def test_a_connection_that_was_closed_in_the_pool_is_replaced(app: Flask) -> None:
    with app.app_context():
        with db.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
        assert raw
        raw.close()
    assert process_of_server(app)


def test_all_connections_that_the_server_ended_are_replaced(
    app: Flask, end: Callable[[int], None]
) -> None:
    with app.app_context(), db.engine.connect() as one, db.engine.connect() as two:
        backends = [c.scalar(text("SELECT pg_backend_pid()")) for c in (one, two)]
    for backend in backends:
        assert backend
        end(backend)
    with app.app_context(), db.engine.connect() as one, db.engine.connect() as two:
        assert not {c.scalar(text("SELECT pg_backend_pid()")) for c in (one, two)} & {*backends}


def test_a_connection_that_was_idle_for_long_is_asked(
    app: Flask, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = process_of_server(app)
    monkeypatch.setattr(database, "IDLE", 0.0)
    assert process_of_server(app) == process
    assert statements == ["SELECT pg_backend_pid()", "ping", "SELECT pg_backend_pid()"]
