"""Connections: SQLite for several processes that write at once, and PostgreSQL that restarts."""

import select
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

IDLE = 30.0  # seconds; a connection that was idle for longer may be gone without a word
READS = ("SELECT", "PRAGMA", "EXPLAIN")


def init_app(app: Flask, db: SQLAlchemy) -> None:
    """Bind `db` to `app`; nothing connects yet."""
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _make_folder(db.engine)
            event.listen(db.engine, "connect", _on_connect)
            event.listen(db.engine, "before_cursor_execute", _begin_immediate)
        else:
            event.listen(db.engine, "checkin", _note_the_time)
            event.listen(db.engine, "checkout", partial(_refuse_if_gone, db.engine))


def _make_folder(engine: Engine) -> None:
    """SQLite makes the file but not its folder; a folder that cannot be made fails at connect."""
    if engine.url.database and Path(engine.url.database).is_absolute():
        try:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return


def _on_connect(connection: sqlite3.Connection, _: object) -> None:
    """Readers do not block the writer, a second writer waits for 10 s, foreign keys hold."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA busy_timeout=10000")


def _begin_immediate(
    connection: Connection, cursor: sqlite3.Cursor, statement: str, *_: Any
) -> None:
    """Take the write lock with the first statement that writes.

    A transaction that begins with a read and then writes gets SQLITE_BUSY at once, whatever the
    timeout, when another process wrote in between. So reads run outside a transaction, each seeing
    what is committed (as on PostgreSQL), and the first write begins one that already has the lock.
    """
    raw = cursor.connection
    if not raw.in_transaction and not statement.lstrip().upper().startswith(READS):
        raw.execute("BEGIN IMMEDIATE")


def _note_the_time(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    """Remember when a connection was given back to the pool."""
    record.info["idle_since"] = time.monotonic()


def _refuse_if_gone(
    engine: Engine, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object
) -> None:
    """Let the pool connect anew when the server ended the connections it has.

    `pool_pre_ping` asks the server each time, which costs as much as a query. Here the socket is
    asked: a server that restarts says so in it. Only one that said something, or was idle for long,
    is asked whether it is still there. Raises InvalidatePoolError if it is not.
    """
    idle_since = record.info.get("idle_since")
    if idle_since is None:  # it is new
        return
    socket = select.poll()
    try:
        socket.register(connection.fileno(), select.POLLIN)  # type: ignore[attr-defined]
        if time.monotonic() - idle_since < IDLE and not socket.poll(0):
            return
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error
