"""Where log lines go and what they carry; secrets are taken out on the way."""

import logging
import logging.config
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask, g, has_app_context, has_request_context, request
from flask.logging import default_handler
from pythonjsonlogger.json import JsonFormatter

from app.core.error_mail import ErrorMailHandler

TEXT = "%(asctime)s %(levelname)s: %(message)s [in %(filename)s: %(lineno)d]%(context)s"
JSON = (
    "%(asctime)s %(levelname)s %(name)s %(message)s %(filename)s %(lineno)d "
    "%(request_id)s %(task_id)s %(remote_addr)s"
)
FILE_SIZE = 5 * 1024 * 1024  # bytes
FILE_COUNT = 5

# Values that follow a telling name, in a query, a header, JSON or the repr of a dict.
NAMED_SECRET = re.compile(
    r"""(?ix) ( [\w-]* (?: passw(?:or)?d | passwd | secret | token | api[_-]?key | salt
                         | authorization | cookie | session | recovery[_-]?code ) \w*
               ["']? \s* [=:] \s* )
        ( "[^"]*" | '[^']*' | (?:bearer|basic)\s+\S+ | [^\s,;&"'}\]]+ )"""
)
BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
# What itsdangerous signs: the tokens in the links of our mails, and the session cookie.
SIGNED = re.compile(r"\.?[\w-]{8,}\.[\w-]{5,}\.[\w-]{27,}")
ADDRESS = re.compile(r"([\w+-])[\w.+-]*(@|%40)(?=[\w-])", re.ASCII)


class Redactor:
    """Takes secrets and the local part of addresses out of a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know `secrets` by their values, besides the patterns that give others away."""
        known = sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """Return `text` fit for a log."""
        if self._known:
            text = self._known.sub("[redacted]", text)
        text = NAMED_SECRET.sub(r"\1[redacted]", text)
        text = BEARER.sub(r"\1 [redacted]", text)
        text = SIGNED.sub("[redacted]", text)
        return ADDRESS.sub(r"\1***\2", text)


class ContextFilter(logging.Filter):
    """Adds the ids of the request and the task, and the remote address, to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, completed."""
        record.request_id = g.get("request_id") if has_app_context() else None
        record.task_id = g.get("task_id") if has_app_context() else None
        record.remote_addr = request.remote_addr if has_request_context() else None
        parts = (
            ("request", record.request_id),
            ("task", record.task_id),
            ("from", record.remote_addr),
        )
        context = " ".join(f"{name} {value}" for name, value in parts if value)
        record.context = f" [{context}]" if context else ""
        return True


class TextFormatter(logging.Formatter):
    """`2021-05-14 16:14:31,910 INFO: Index page loading [in views.py: 6]`, then the context."""

    def __init__(self, redact: Redactor) -> None:
        """Format with `redact` as the last step, so that tracebacks pass through it too."""
        super().__init__(TEXT)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; line breaks in a message cannot forge a second one."""
        record.message = record.getMessage()
        return self._redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without the traceback."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


class RedactingJsonFormatter(JsonFormatter):
    """The same fields as one JSON object a line."""

    def __init__(self, redact: Redactor) -> None:
        """Format with `redact` applied to every text before it is encoded."""
        super().__init__(JSON, rename_fields={"asctime": "time", "levelname": "level"})
        self._redact = redact

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return `log_data` without secrets."""
        return {
            name: self._redact(value) if isinstance(value, str) else value
            for name, value in log_data.items()
        }


def configure_logging(app: Flask) -> None:
    """Send every line to stdout, to `LOG_FILE` if there is one, and errors to `ADMINS` by mail.

    Logging belongs to the process: of several applications in one, the last one decides.
    """
    redact = Redactor(value for value in _texts(app.config) if type(value) is not str)
    handlers: dict[str, Any] = {
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    }
    if app.config["LOG_FILE"]:
        path = Path(app.config["LOG_FILE"])
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            # Processes that rotate one file lose lines with the standard library's handler.
            "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
            "filename": str(path),
            "maxBytes": FILE_SIZE,
            "backupCount": FILE_COUNT,
            "encoding": "utf-8",
        }
    for handler in handlers.values():
        handler |= {"formatter": "chosen", "filters": ["context"]}
    if app.config["ADMINS"]:
        handlers["mail"] = {
            "()": ErrorMailHandler,
            "app": app,
            "level": "ERROR",
            "formatter": "chosen",
            "filters": ["context"],
        }
    formatter = RedactingJsonFormatter if app.config["LOG_FORMAT"] == "json" else TextFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": ContextFilter}},
            "formatters": {"chosen": {"()": formatter, "redact": redact}},
            "handlers": handlers,
            "loggers": {"alembic.runtime.plugins": {"level": "WARNING"}},
            "root": {"level": app.config["LOG_LEVEL"], "handlers": list(handlers)},
        }
    )
    app.logger.removeHandler(default_handler)
    app.logger.setLevel(app.config["LOG_LEVEL"])


def _texts(values: Any) -> Iterable[str]:
    """Yield every string in nested settings."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _texts(value)
