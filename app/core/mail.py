"""Mails: a template and its context become a message; each process keeps one SMTP connection."""

import os
import smtplib
import ssl
import threading
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any

from flask import Config, Flask, current_app, render_template

TIMEOUT = 30.0  # seconds to wait for each answer of the server


def init_app(app: Flask) -> None:
    """Prepare the connection to the mail server; it opens with the first mail."""
    app.extensions["smtp"] = SmtpConnection(app.config)


def compose(
    to: str, template: str, context: dict[str, Any], reply_to: str | None = None
) -> EmailMessage:
    """Return the mail that `TEMPLATE.txt` and `TEMPLATE.html` make of `context`.

    The text begins with a line `Subject: …` and an empty one. Raises ValueError for a line break
    in an address or in the subject.
    """
    head, _, text = render_template(f"{template}.txt", **context).partition("\n\n")
    subject = head.removeprefix("Subject:").strip()
    sender = current_app.config["MAIL_DEFAULT_SENDER"]
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = to
    if reply_to:
        message["Reply-To"] = reply_to
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    html = render_template(f"{template}.html", subject=subject, **context)
    message.add_alternative(html, subtype="html")
    return message


def is_permanent(error: Exception) -> bool:
    """Tell whether the server refused for good (a 5xx answer), so that trying again is useless."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


class SmtpConnection:
    """One connection of this process, opened when first needed and again when it was dropped."""

    def __init__(self, config: Config) -> None:
        """Take the `MAIL_…` settings from `config`."""
        self._config = config
        self._lock = threading.Lock()
        self._server: smtplib.SMTP | None = None
        self._pid = 0

    def send(self, message: EmailMessage) -> None:
        """Hand `message` to the mail server.

        Raises OSError, of which smtplib.SMTPException is a kind, when the server did not take it.
        """
        with self._lock:
            server = self._usable() or self._open()
            try:
                server.send_message(message)
            except OSError:  # of which smtplib's own errors are a kind
                server.close()
                self._server = None
                raise

    def check(self) -> None:
        """Greet the server and send nothing; raises OSError when that fails."""
        with self._lock:
            if self._usable() is None:
                self._open()

    def close(self) -> None:
        """Say goodbye to the server, if there is a connection."""
        with self._lock:
            self._drop()

    def _usable(self) -> smtplib.SMTP | None:
        """Return the open connection if it is this process's own and the server still answers."""
        if self._pid != os.getpid():
            self._server = None
        if self._server is None:
            return None
        try:
            if self._server.noop()[0] == 250:
                return self._server
        except OSError:
            pass
        self._drop()
        return None

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
        except BaseException:
            server.close()
            raise
        self._server, self._pid = server, os.getpid()
        return server

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        try:
            server.quit()
        except OSError:
            server.close()
