"""`flask doctor`: a line for each part, a remedy for each failure, and the exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask_migrate import Migrate
from sqlalchemy import update

from app.core import checks
from app.extensions import db
from app.jobs import checks as jobs_checks
from app.jobs.models import Heartbeat, moment
from app.jobs.sweep import beat
from tests.support import Inbox, Process, Valkey, free_port, wait_until

MakeApp = Callable[..., Flask]
PARTS = {
    *("configuration", "database", "migrations", "broker", "workers", "jobs", "beat"),
    *("rate", "mail", "proxies", "disk", "clock"),
}
BEAT = """
import sys
from celery_worker import celery
for entry in celery.conf.beat_schedule.values():
    entry["schedule"] = 0.5
celery.start(["beat", "--pidfile=", *sys.argv[1:]])
"""


def examine(app: Flask, code: int = 0) -> dict[str, list[str]]:
    """Run the doctor; return the names of the parts by verdict, and the whole under `text`."""
    Migrate(app, db)
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == code, result.output
    found: dict[str, list[str]] = {"text": [result.output]}
    for line in result.output.splitlines():
        if not line.startswith(" "):
            verdict, name = line.split()[:2]
            found.setdefault(verdict, []).append(name)
    return found


@pytest.fixture
def beating(
    live_database_url: str, valkey: Valkey, live_app: Flask, tmp_path: Path
) -> Iterator[Process]:
    """Return beat, in a hurry, at the broker of `worker`."""
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": live_database_url,
        "CELERY_BROKER_URL": valkey.url(0),
    }
    process = Process([sys.executable, "-c", BEAT, f"--schedule={tmp_path / 'beat'}"], environment)
    yield process
    process.stop()


def has_swept(app: Flask, name: str) -> bool:
    with app.app_context():
        return db.session.get(Heartbeat, name) is not None


def test_all_is_well_where_all_parts_run(live_app: Flask, worker: Process) -> None:
    wait_until(lambda: has_swept(live_app, "sweep"), "a sweep")
    with live_app.app_context():
        beat("beat")
        db.session.commit()
    found = examine(live_app)
    assert set(found["ok"]) == PARTS, found["text"]


def test_the_doctor_names_what_is_wrong_and_what_to_do(make_app: MakeApp, tmp_path: Path) -> None:
    ill = make_app(
        DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0",
        MAIL_PORT=free_port(),
    )
    found = examine(ill, 1)
    assert found["FAIL"] == ["migrations", "broker", "mail"]
    assert found["-"] == ["workers", "jobs", "beat"], "nothing can be said of them"
    (text,) = found["text"]
    assert "Run `flask db upgrade`." in text
    assert "correct CELERY_BROKER_URL" in text
    assert "correct MAIL_SERVER" in text


def test_a_database_that_is_away_is_one_failure(make_app: MakeApp) -> None:
    url = f"postgresql://scott:tiger-secret@127.0.0.1:{free_port()}/x"
    found = examine(make_app(DATABASE_URL=url), 1)
    assert found["FAIL"][0] == "database"
    assert found["-"] == ["migrations", "jobs", "beat", "clock"]
    assert "tiger-secret" not in found["text"][0]


def test_workers_that_are_missing_are_a_failure(app: Flask) -> None:
    found = examine(app, 1)
    assert found["FAIL"] == ["workers", "jobs"]
    assert found["warn"] == ["beat"], "workers keep the schedule without it"


def test_a_queue_that_no_worker_takes_from_is_named(
    make_app: MakeApp, settings: dict[str, object], valkey: Valkey
) -> None:
    url = valkey.url(7)
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": str(settings["DATABASE_URL"]),
        "CELERY_BROKER_URL": url,
    }
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery", "worker"]
    process = Process([*command, "--pool=solo", "--loglevel=info", "-Q", "mail,sweep"], environment)
    app = make_app(CELERY_BROKER_URL=url)
    try:
        process.wait_for(r"ready\.")
        # A machine with much to do may answer too late, which is another failure.
        expected = checks.Finding("FAIL", "No worker takes from the queues default, long.")
        wait_until(lambda: checks.examine(checks.workers, app, 5.0) == expected, "it is named")
    finally:
        process.stop()


def test_beat_is_seen_by_the_database(live_app: Flask, beating: Process) -> None:
    wait_until(lambda: has_swept(live_app, "beat"), "a sweep that beat sent")
    assert "ticked" in jobs_checks.beat(live_app)
    beating.stop()

    def is_doubted() -> bool:  # the last sweep it sent may still come, and count
        with live_app.app_context():
            db.session.execute(update(Heartbeat).values(beaten_at=moment(-1000)))
            db.session.commit()
        try:
            jobs_checks.beat(live_app)
        except checks.Doubt as doubt:
            return re.search(r"ticked 100. s ago", str(doubt)) is not None
        return False

    wait_until(is_doubted, "it is missed")


def test_a_store_of_rate_limits_that_is_away_is_doubted(make_app: MakeApp, valkey: Valkey) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    away = examine(make_app(REDIS_URL=url, RATELIMIT_ENABLED=True), 1)
    assert "rate" in away["warn"]
    assert "correct REDIS_URL" in away["text"][0]
    there = examine(make_app(REDIS_URL=valkey.url(0), RATELIMIT_ENABLED=True), 1)
    assert "rate" in there["ok"]


def test_a_password_that_travels_in_the_clear_is_doubted(make_app: MakeApp, inbox: Inbox) -> None:
    app = make_app(MAIL_USERNAME="ada", MAIL_PASSWORD="lovelace")
    app.extensions["smtp"] = SimpleNamespace(check=lambda: None, close=lambda: None)
    with pytest.raises(checks.Doubt, match="unencrypted"):
        checks.smtp(app)


def test_production_without_a_proxy_is_doubted(make_app: MakeApp) -> None:
    app = make_app()
    assert checks.proxies(app) == "0 believed"
    app.config["SESSION_COOKIE_SECURE"] = True
    with pytest.raises(checks.Doubt, match="PROXY_HOPS is 0"):
        checks.proxies(app)


def test_a_full_disk_is_a_failure(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GB free" in checks.disk(app)
    monkeypatch.setattr(checks, "SPACE", 10**12)
    with pytest.raises(RuntimeError, match=r"MB are free at /.*, and 1000000000000 should be"):
        checks.disk(app)


def test_clocks_that_differ_are_a_failure(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs_checks.clock(app) == "as the database's"
    real = jobs_checks.datetime
    late = SimpleNamespace(now=lambda zone: real.now(zone) - timedelta(seconds=90))
    monkeypatch.setattr(jobs_checks, "datetime", late)
    with pytest.raises(RuntimeError, match=r"(89|90) s apart"):
        jobs_checks.clock(app)


def test_a_configuration_that_cannot_be_used_ends_the_doctor() -> None:
    variables = {"CONFIG_TYPE": "config.ProductionConfig", "FLASK_SKIP_DOTENV": "1"}
    command = [sys.executable, "-m", "flask", "--app", "application", "doctor"]
    process = Process(command, {**os.environ, **variables})
    assert process.stop(0) == 1
    assert "SECRET_KEY is missing or a placeholder" in process.output
    assert "Traceback" not in process.output
