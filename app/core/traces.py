"""One trace from a request through its tasks, for Sentry and OpenTelemetry; both are off at first.

What continues a trace elsewhere is a few short texts, its carrier. It travels in the row of a job,
because a hint may be lost, and in the headers of a plain task.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from flask import Flask, current_app, has_app_context
from werkzeug.utils import import_string

Carrier = dict[str, str]

# Neither package is imported, or need be installed, where its variable is not set.
TRACERS = {
    "SENTRY_DSN": "app.core.sentry.Sentry",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "app.core.opentelemetry.OpenTelemetry",
}


class Tracer(Protocol):
    """One of those who are told what happens."""

    def inject(self, carrier: Carrier) -> None:
        """Add to `carrier` what continues the trace that is current."""
        ...

    def continued(self, carrier: Carrier, name: str) -> AbstractContextManager[None]:
        """Continue the trace of `carrier` with the task `name`."""
        ...

    def note(self, error: BaseException) -> None:
        """Note that what is traced now failed."""
        ...


def init_app(app: Flask) -> None:
    """Begin to trace the requests of `app`, if it is configured."""
    app.extensions["tracers"] = [
        import_string(name)(app) for variable, name in TRACERS.items() if app.config[variable]
    ]


def carrier() -> Carrier | None:
    """Return what continues the current trace; None if there is none."""
    found: Carrier = {}
    for tracer in _tracers():
        tracer.inject(found)
    return found or None


@contextmanager
def continued(carrier: Carrier | None, name: str) -> Iterator[None]:
    """Continue a trace with the task `name`, or begin one."""
    with ExitStack() as stack:
        for tracer in _tracers():
            stack.enter_context(tracer.continued(carrier or {}, name))
        yield


def note(error: BaseException) -> None:
    """Note in the trace that what runs now failed with `error`, which somebody handled."""
    for tracer in _tracers():
        tracer.note(error)


def _tracers() -> list[Tracer]:
    return current_app.extensions["tracers"] if has_app_context() else []
