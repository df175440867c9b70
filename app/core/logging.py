"""Where log lines go and what they carry; secrets are taken out on the way."""

import logging
import logging.config
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flask import Flask, g, has_app_context, has_request_context, request
from flask.logging import default_handler
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from app.core.error_mail import ErrorMailHandler
from app.core.requests import current_request_id

TEXT = "%(asctime)s %(levelname)s: %(message)s [in %(filename)s: %(lineno)d]%(context)s"
JSON = (
    "%(asctime)s %(levelname)s %(name)s %(message)s %(filename)s %(lineno)d "
    "%(request_id)s %(task_id)s %(remote_addr)s"
)
FILE_SIZE = 5 * 1024 * 1024  # bytes
FILE_COUNT = 5

# Names that give a secret away, and what may stand between such a name and its value: in a query, a
# header, JSON, the repr of a dict or of the pairs of a form. All patterns here take linear time,
# whatever a visitor sends: they look at a bounded part of a name, or give nothing back.
PHRASE = r"(?:passw(?:or)?d|passwd|passphrase|secret)"
TELLING = rf"(?:{PHRASE}|token|api[_-]?key|salt|authorization|cookie|session|recovery[_-]?code)"
QUOTED = r"""(?:\\*[bru]{0,2}\\*(?:"(?:\\.|[^"\\])*+(?:"|\Z)|'(?:\\.|[^'\\])*+(?:'|\Z)))"""
LISTED = rf"(?: [\[(] (?: [\s,]*+ {QUOTED} )++ )"
# A parameter of a query ends at the next `&`. Elsewhere a passphrase has spaces and may have `&`,
# so without quotes nothing says where it ends, and the rest of the line goes with it.
NAMED_SECRET = re.compile(
    rf"""(?isx)
    (?P<parameter> [?&] [\w.%-]{{0,60}}? {TELLING} [\w-]{{0,60}}+ = ) (?: {QUOTED} | [^\s&]++ )
    | (?P<phrase> {PHRASE} [\w-]{{0,60}}+ \s*+ [=:] \s*+ )
        (?: {LISTED} | {QUOTED} (?: (?=[\w&]) [^\r\n]++ )?+ | [^\r\n]++ )
    | (?P<other> {TELLING} [\w-]{{0,60}}+ \\* (?: ["']? \s*+ [=:] | ["'] \s*+ , ) \s*+ )
        (?: {LISTED} | {QUOTED} | (?:bearer|basic)\s++\S++ | [^\s&]++ )"""
)
HEADER = re.compile(r"(?i)((?:cookie|authorization)[ \t]*+:)[^\r\n]++")
CREDENTIALS = re.compile(r"(://[^\s/:@]*+:)[^\s/]+@")
BEARER = re.compile(r"(?i)\b(bearer|basic)\s++[\w.~+/=-]{8,}+")
# What itsdangerous signs: the tokens in the links of our mails, and the session cookie.
SIGNED = re.compile(r"(?<![\w-])\.?[\w-]{8,}+\.[\w-]{5,}+\.[\w-]{27,}+")
LOCAL = r"""[^\s@<>"'(),:;/\\\[\]{}|=&?]"""
ADDRESS = re.compile(rf"(?<!{LOCAL})({LOCAL}){LOCAL}*(@|%40)(?=[\w\[-])")
# Every pattern above needs one of these; most lines have none.
SUSPICIOUS = re.compile(r"[=:@.\"']|%40|bearer|basic", re.IGNORECASE)
COLOUR = re.compile(r"\x1b\[[\d;]*m")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class Redactor:
    """Takes secrets and the local part of addresses out of a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know `secrets`, and the passwords in those that are addresses, by their values."""
        values = set(secrets)
        for secret in tuple(values):
            if found := re.search(r"://[^\s/:@]*:([^\s/]+)@", secret):
                values |= {found[1], unquote(found[1])}
        known = sorted((value for value in values if len(value) >= 8), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """Return `text` fit for a log."""
        if self._known:
            text = self._known.sub("[redacted]", text)
        if not SUSPICIOUS.search(text):
            return text
        text = HEADER.sub(r"\1 [redacted]", text)
        text = NAMED_SECRET.sub(r"\g<parameter>\g<phrase>\g<other>[redacted]", text)
        text = CREDENTIALS.sub(r"\1[redacted]@", text)
        text = BEARER.sub(r"\1 [redacted]", text)
        text = SIGNED.sub("[redacted]", text)
        return ADDRESS.sub(r"\1***\2", text)

    def clean(self, value: Any, name: str = "") -> Any:
        """Return `value`, which is called `name`, fit to be encoded as JSON for a log."""
        if re.search(TELLING, name, re.IGNORECASE):
            return "[redacted]"
        if isinstance(value, dict):
            return {self(str(key)): self.clean(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.clean(item) for item in value]
        return value if value is None or isinstance(value, int | float) else self(str(value))


def on_one_line(text: str) -> str:
    """Return `text` with what would end a line or steer a terminal written out, as `\\n`."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], COLOUR.sub("", text))


class ContextFilter(logging.Filter):
    """Adds the ids of the request and the task, and the remote address, to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, completed."""
        request_id = current_request_id()
        task_id = g.get("task_id") if has_app_context() else None
        remote_addr = request.remote_addr if has_request_context() else None
        parts = (("request", request_id), ("task", task_id), ("from", remote_addr))
        context = " ".join(f"{name} {value}" for name, value in parts if value)
        record.__dict__.update(
            request_id=request_id,
            task_id=task_id,
            remote_addr=remote_addr,
            context=f" [{context}]" if context else "",
        )
        return True


def is_no_request(record: logging.LogRecord) -> bool:
    """Tell whether this is worth a line of Werkzeug's development server: requests have ours."""
    return not str(record.msg).endswith('"%s" %s %s')


class TextFormatter(logging.Formatter):
    """`2021-05-14 16:14:31,910 INFO: Index page loading [in views.py: 6]`, then the context.

    Only a record begins at the margin: tracebacks are indented, so that nothing in a message or
    in an exception can pass for a line of its own.
    """

    def __init__(self, redact: Redactor) -> None:
        """Format with `redact` applied to messages and tracebacks."""
        super().__init__(TEXT)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the line and what belongs to it."""
        record.message = on_one_line(self._redact(record.getMessage()))
        record.asctime = self.formatTime(record)
        traces = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            traces.append(record.stack_info)
        below = self._redact("\n".join(traces)).splitlines() if traces else []
        return "\n  ".join([self.formatMessage(record), *map(on_one_line, below)])


class RedactingJsonFormatter(JsonFormatter):
    """The same fields, and those given as `extra`, as one JSON object a line."""

    def __init__(self, redact: Redactor) -> None:
        """Format with `redact` applied to every value before it is encoded."""
        super().__init__(
            JSON,
            rename_fields={"asctime": "time", "levelname": "level"},
            reserved_attrs=[*RESERVED_ATTRS, "context"],
        )
        self._redact = redact

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return `log_data` without secrets."""
        return self._redact.clean(log_data)


def configure_logging(app: Flask) -> None:
    """Send every line to stdout, to `LOG_FILE` if there is one, and errors to `ADMINS` by mail.

    Logging belongs to the process: of several applications in one, the last one decides.
    """
    redact = Redactor(value for value in _texts(app.config) if type(value) is not str)
    app.extensions["redactor"] = redact
    formatter = RedactingJsonFormatter if app.config["LOG_FORMAT"] == "json" else TextFormatter
    handlers = _handlers(app)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {
                "context": {"()": ContextFilter},
                "requests": {"()": lambda: is_no_request},
            },
            "formatters": {
                "chosen": {"()": formatter, "redact": redact},
                "text": {"()": TextFormatter, "redact": redact},
            },
            "handlers": handlers,
            "loggers": {
                "alembic.runtime.plugins": {"level": "WARNING"},
                "werkzeug": {"filters": ["requests"]},
            },
            "root": {"level": app.config["LOG_LEVEL"], "handlers": list(handlers)},
        }
    )
    app.logger.removeHandler(default_handler)
    app.logger.setLevel(app.config["LOG_LEVEL"])


def _handlers(app: Flask) -> dict[str, dict[str, Any]]:
    """Return where the lines of `app` go, in the words of dictConfig."""
    handlers: dict[str, dict[str, Any]] = {
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
    if app.config["ADMINS"]:
        # People read mails, so these are text whatever LOG_FORMAT says.
        mail = {"()": ErrorMailHandler, "app": app, "level": "ERROR", "formatter": "text"}
        handlers["mail"] = mail
    return {
        name: {"formatter": "chosen", "filters": ["context"], **handler}
        for name, handler in handlers.items()
    }


def _texts(values: Any) -> Iterable[str]:
    """Yield every string in nested settings."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _texts(value)
