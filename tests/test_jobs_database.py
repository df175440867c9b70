"""Jobs while the database is away: lines and sentences, no tracebacks, and work resumes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import create_app
from app.extensions import db
from app.tasks import send_email
from tests.conftest import migrated
from tests.support import ROOT, Inbox, Process, Valkey, free_port, wait_until

LETTER = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
AWAY = "The database does not answer, the next sweep asks again: "


@pytest.fixture
def refused() -> str:
    """Return the address of a PostgreSQL that is not there."""
    return f"postgresql://ada:tiger-secret@127.0.0.1:{free_port()}/soup"


def environment_of(database: str, **variables: str) -> dict[str, str]:
    own = {"CONFIG_TYPE": "config.TestingConfig", "DATABASE_URL": database}
    skip = {"FLASK_SKIP_DOTENV": "1", "FLASK_APP": "application"}
    return {**os.environ, **skip, **own, **variables}


@pytest.mark.parametrize(
    "words", ["list", "stats", "health", "purge", "replay --task x", f"show {'0' * 32}"]
)
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_command_says_that_the_database_is_away(
    kind: str, words: str, refused: str, tmp_path: Path
) -> None:
    """SQLite is there, but has no tables yet."""
    url = refused if kind == "postgresql" else f"sqlite:///{tmp_path / 'empty.db'}"
    result = subprocess.run(
        [sys.executable, "-m", "flask", "jobs", *words.split()],
        cwd=ROOT,
        env=environment_of(url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: The database cannot be asked: ")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stdout
    assert "tiger-secret" not in result.stdout + result.stderr


@pytest.fixture
def settings(valkey: Valkey, inbox: Inbox) -> Iterator[dict[str, str]]:
    """Return where the broker and the mail server are."""
    yield {
        "CELERY_BROKER_URL": valkey.url(7),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(inbox.port),
    }
    valkey.empty(7)


def test_worker_waits_for_a_database_that_is_away_at_its_start(
    settings: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    """SQLite's file is in a folder that cannot be made until something is out of its way."""
    obstacle = tmp_path / "database"
    obstacle.touch()
    url = f"sqlite:///{obstacle / 'app.db'}"
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    worker = Process(
        [*command, "--loglevel=info", "--concurrency=2"], environment_of(url, **settings)
    )
    try:
        wait_until(lambda: worker.output.count(AWAY) >= 3, "three sweeps find no database")
        # Whoever opens a new file first must be alone: it cannot wait for another.
        migrated(f"sqlite:///{tmp_path / 'new' / 'app.db'}")
        obstacle.unlink()
        (tmp_path / "new").rename(obstacle)
        # Its broker is away, so only a sweep can tell the worker.
        app = create_app("config.TestingConfig", DATABASE_URL=url)
        with app.app_context():
            send_email.delay_on_commit("ada@example.com", "main/mail/contact", LETTER)
            db.session.commit()
            db.engine.dispose()
        app.extensions["hinter"].close()
        inbox.wait_for("ada@example.com")
    finally:
        worker.stop()
    assert "Traceback" not in worker.output
    assert " ERROR" not in worker.output
