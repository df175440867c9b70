"""Mails: a template and its context become a message; each process keeps one SMTP connection."""

import os
import re
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

from flask import Config, Flask, current_app, render_template
from jinja2 import TemplateNotFound

TIMEOUT = 20.0  # seconds to wait for each answer of the server
AGREED = (250, 251)
SIGN_IN_CODES = (530, 534, 535, 538)  # RFC 4954: about us, not about the mail
ENGLISH = "en"  # what mails are written in; translations are in folders beside them
IDLE = 30.0  # seconds after which an unused connection is closed


class HeaderTypes(HeaderRegistry):
    """The standard library's, which makes the type of each header of each mail anew."""

    def __init__(self) -> None:
        """Know the types of the standard library."""
        super().__init__()
        self._made: dict[str, type] = {}

    def __getitem__(self, name: str) -> type:
        """Return the type of headers called `name`; a third of the time of a mail went there."""
        if name not in self._made:
            self._made[name] = super().__getitem__(name)
        return self._made[name]


# Texts are encoded to seven bits, which every server takes, with the line ends that SMTP wants.
POLICY = SMTP.clone(cte_type="7bit", header_factory=HeaderTypes())


def init_app(app: Flask) -> None:
    """Prepare the connection to the mail server; it opens with the first mail."""
    app.extensions["smtp"] = SmtpConnection(app.config)


def compose(  # noqa: PLR0913 - what a mail is made of
    to: str,
    template: str,
    context: dict[str, Any],
    *,
    message_id: str,
    date: datetime | None = None,
    reply_to: str | None = None,
    language: str = ENGLISH,
) -> EmailMessage:
    """Return the mail that `TEMPLATE.txt` makes of `context`, in `language` if there is such a one.

    The text begins with a line `Subject: …` and an empty one. The HTML is made of `TEMPLATE.html`,
    or of the text if there is none. `message_id` is the part of the Message-ID before the @.
    Raises ValueError for a line break in an address or in the subject.
    """
    template, language = translated(template, language)
    head, _, text = render_template(f"{template}.txt", **context).partition("\n\n")
    subject = head.removeprefix("Subject:").strip()
    sender = current_app.config["MAIL_DEFAULT_SENDER"]
    message = EmailMessage(POLICY)
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = ascii_address(to)
    if reply_to:
        message["Reply-To"] = ascii_address(reply_to)
    message["Date"] = format_datetime(date or datetime.now(UTC))
    message["Message-ID"] = f"<{message_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    shown = {**context, "subject": subject, "text": text, "language": language}
    html = render_template([f"{template}.html", "mail/text.html"], **shown)
    message.add_alternative(html, subtype="html")
    return message


def translated(template: str, language: str) -> tuple[str, str]:
    """Return the template in the folder `language` beside `template`, and its language.

    Without a translation that is `template` itself, in English.
    """
    folder, _, name = template.rpartition("/")
    translation = f"{folder}/{language}/{name}"
    try:
        current_app.jinja_env.get_template(f"{translation}.txt")
    except TemplateNotFound:
        return template, ENGLISH
    return translation, language


def ascii_address(address: str) -> str:
    """Return `address` with its domain as servers know it: bücher.example is xn--bcher-kva.example.

    Raises ValueError for a domain that has no such form.
    """
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain if domain.isascii() else domain.encode('idna').decode()}"


class MailRefused(smtplib.SMTPResponseException):
    """The server refused this recipient or this text for good (a 5xx answer).

    What it says of us, or of our address, will change when that is mended: the wrong password, say.
    """


class SmtpConnection:
    """One connection of this process, opened when first needed and again when it was dropped."""

    def __init__(self, config: Config) -> None:
        """Take the `MAIL_…` settings from `config`."""
        self._config = config
        self._lock = threading.Lock()
        self._server: smtplib.SMTP | None = None
        self._pid = 0
        self._used = 0.0
        self._timer: threading.Timer | None = None

    def send(self, message: EmailMessage, handoff: Callable[[], None] = lambda: None) -> str:
        """Hand `message` to the mail server and return the server's receipt.

        `handoff` is called when the server is ready for the text, which cannot be taken back.
        Raises MailRefused when the server does not take this mail, and another OSError, of which
        smtplib.SMTPException is a kind, when trying again may help.
        """
        with self._lock:
            sender, recipient = (parseaddr(message[name])[1] for name in ("From", "To"))
            server = self._ready(sender, recipient)
            try:
                receipt = _transfer(server, message, handoff)
            except BaseException:
                self._abandon()
                raise
            self._used = time.monotonic()
            return receipt

    def check(self) -> None:
        """Greet the server and send nothing; raises OSError when that fails."""
        with self._lock:
            server = self._kept()
            if server is None or not self._accepts(server.noop):
                self._drop()
                self._open()

    def close(self) -> None:
        """End the connection, if there is one."""
        with self._lock:
            self._drop()

    def _ready(self, sender: str, recipient: str) -> smtplib.SMTP:
        """Return a connection on which the server expects a mail from `sender` to `recipient`.

        One that was kept may be gone, or have had its share of mails, and not every server says
        which: what it refuses there is asked again on a new one, and only that answer counts.
        """
        kept = self._kept()
        if kept is not None and self._accepts(
            lambda: kept.mail(sender), lambda: kept.rcpt(recipient)
        ):
            return kept
        self._drop()
        server = self._open()
        try:
            _expect(*server.mail(sender))
            _expect(*server.rcpt(recipient), refusal=MailRefused)
        except BaseException:
            self._abandon()
            raise
        return server

    def _accepts(self, *steps: Callable[[], tuple[int, bytes]]) -> bool:
        """Tell whether the server is there and agrees to each of `steps`."""
        try:
            return all(step()[0] in AGREED for step in steps)
        except OSError:
            return False
        except BaseException:  # a time limit: what the server says yet would answer another step
            self._abandon()
            raise

    def _kept(self) -> smtplib.SMTP | None:
        """Return the open connection if it is this process's own."""
        if self._pid != os.getpid():
            self._server = None
        return self._server

    def _open(self) -> smtplib.SMTP:
        settings = self._config
        host, port = settings["MAIL_SERVER"], settings["MAIL_PORT"]
        if settings["MAIL_USE_SSL"]:
            tls = ssl.create_default_context()
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=tls)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT)
        try:
            if settings["MAIL_USE_TLS"]:
                server.starttls(context=ssl.create_default_context())
            if settings["MAIL_USERNAME"]:
                server.login(settings["MAIL_USERNAME"], settings["MAIL_PASSWORD"] or "")
            server.ehlo_or_helo_if_needed()
        except BaseException:
            server.close()
            raise
        self._server, self._pid, self._used = server, os.getpid(), time.monotonic()
        if self._timer is None or not self._timer.is_alive():
            self._watch()
        return server

    def _watch(self) -> None:
        """Look again when the connection could have been idle for long enough."""
        self._timer = threading.Timer(IDLE, self._close_if_idle)
        self._timer.daemon = True
        self._timer.start()

    def _close_if_idle(self) -> None:
        with self._lock:
            if self._server is None or self._pid != os.getpid():
                return
            if time.monotonic() - self._used >= IDLE:
                self._drop()
            else:
                self._watch()

    def _abandon(self) -> None:
        """Close the connection without a word."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _drop(self) -> None:
        """Say goodbye to the server, if this process has a connection."""
        server, self._server = self._kept(), None
        if server is None:
            return
        with closing(server), suppress(OSError):
            server.putcmd("quit")  # nothing depends on the answer, which may take its time


def _transfer(server: smtplib.SMTP, message: EmailMessage, handoff: Callable[[], None]) -> str:
    """Go through the steps of RFC 5321 after RCPT one by one, for `handoff` has its place there."""
    _expect(*server.docmd("DATA"), wanted=(354,))
    handoff()
    text = message.as_bytes().removesuffix(b"\r\n")
    server.send(re.sub(rb"(?m)^\.", b"..", text) + b"\r\n.\r\n")
    return _expect(*server.getreply(), refusal=MailRefused)


def _expect(
    code: int,
    answer: bytes,
    wanted: tuple[int, ...] = AGREED,
    refusal: type[smtplib.SMTPResponseException] = smtplib.SMTPResponseException,
) -> str:
    """Return the text of an answer; raises `refusal` for a 5xx that is about the mail."""
    text = answer.decode(errors="replace")
    if code in wanted:
        return text
    if 500 <= code < 600 and code not in SIGN_IN_CODES:
        raise refusal(code, text)
    raise smtplib.SMTPResponseException(code, text)
