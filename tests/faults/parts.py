"""A mail server and brokers that can be broken."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from amqp.exceptions import NotFound
from kombu import Connection

from app.core.celery import QUEUES
from tests.support import Inbox, Process, RabbitMQ, Valkey

HANGS = 60.0  # seconds: longer than any client waits


class Sink(Inbox):
    """An SMTP server that can hang, be down, or hang up after the text."""

    def __init__(self) -> None:
        """Listen, and behave."""
        # "drop" hangs up without the 250, "drop250" after it, "hang" says nothing after the text.
        self.broken = ""
        super().__init__()

    def down(self) -> None:
        """Listen no more."""
        self._controller.stop()

    def up(self) -> None:
        """Listen again, at the same port."""
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, enable_SMTPUTF8=True
        )
        self._controller.start()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the message, and perhaps hang up."""
        if self.broken == "hang":
            self.broken = ""
            await asyncio.sleep(HANGS)
        answer = await super().handle_DATA(server, session, envelope)
        if self.broken and server.transport:
            if self.broken == "drop250":
                server.transport.write(b"250 OK\r\n")  # type: ignore[attr-defined]
            server.transport.close()
            if random.random() < 0.5:
                self.broken = ""
        return answer

    def copies(self, prefix: str) -> dict[str, list[str]]:
        """Return the Message-IDs of what came for each address that begins with `prefix`."""
        found: dict[str, list[str]] = {}
        for message in list(self._messages):
            if str(message["To"]).startswith(prefix):
                found.setdefault(str(message["To"]), []).append(str(message["Message-ID"]))
        return found


class Broker:
    """A broker that can be stopped, started again, frozen and emptied."""

    def __init__(self, folder: Path, kind: str = "valkey") -> None:
        """Start one."""
        self._folder = folder
        self.server: Any = Valkey(folder) if kind == "valkey" else RabbitMQ(folder)
        self.is_rabbit = kind != "valkey"
        self.url = self.server.url if self.is_rabbit else self.server.url(0)

    def down(self) -> None:
        """End it at once."""
        self.server._process.kill()

    def up(self) -> None:
        """Start it again, with what it has on its disk."""
        if self.is_rabbit:
            self.server._process = Process([str(RabbitMQ.COMMAND)], self.server._environment)
            self.server._process.wait_for("Starting broker... completed", 60)
        else:
            self.server = Valkey(self._folder, self.server.port)

    def wipe(self) -> None:
        """Lose every message."""
        if not self.is_rabbit:
            self.server.empty(0)
            return
        with Connection(self.url) as connection:
            for queue in QUEUES:
                with suppress(NotFound):
                    connection.channel().queue_purge(queue)  # type: ignore[attr-defined]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it neither answer nor refuse."""
        process = psutil.Process(self.server._process.process.pid)
        group = [process, *process.children(recursive=True)]
        for one in group:
            one.suspend()
        try:
            yield
        finally:
            for one in group:
                one.resume()

    def stop(self) -> None:
        """End it for good."""
        self.server.stop()
