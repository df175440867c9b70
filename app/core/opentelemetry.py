"""Traces for OpenTelemetry: a span for each request, each job and each task of a request.

Each process exports by a thread of its own, which the SDK starts again after a fork. Besides the
address of the collector, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and the SDK's other variables hold.
"""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import worker_process_shutdown
from flask import (
    Flask,
    Response,
    g,
    got_request_exception,
    request,
    request_finished,
    request_started,
    request_tearing_down,
)
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.requests import current_request_id

propagator = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Traces what one application does."""

    def __init__(self, app: Flask) -> None:
        """Export to the collector, which is asked for nothing yet."""
        self._redact = app.extensions["redactor"]
        endpoint = app.config["OTEL_EXPORTER_OTLP_ENDPOINT"].rstrip("/")
        own = OTELResourceDetector().detect().attributes
        resource = Resource.create({SERVICE_NAME: app.config["APP_NAME"], **own})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("stockpot")
        # What else is instrumented in this process exports in the same way.
        trace.set_tracer_provider(self._provider)
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(as_warning)
        request_started.connect(self._begin, app)
        got_request_exception.connect(self._fail, app)
        request_finished.connect(self._answer, app)
        request_tearing_down.connect(self._end, app)
        # A worker's children leave without the handlers of `atexit`.
        worker_process_shutdown.connect(self._flush)

    def inject(self, carrier: dict[str, str]) -> None:
        """Add what W3C's Trace Context says."""
        propagator.inject(carrier)

    @contextmanager
    def continued(self, carrier: dict[str, str], name: str) -> Iterator[None]:
        """Trace a task as a part of what enqueued it, however late it runs."""
        ids = {"request.id": g.get("request_id"), "task.id": g.get("task_id")}
        with self._tracer.start_as_current_span(
            name,
            propagator.extract(carrier),
            SpanKind.CONSUMER,
            {key: value for key, value in ids.items() if value},
            record_exception=False,
            set_status_on_exception=False,
        ):
            try:
                yield
            except Exception as error:
                self.note(error)
                raise

    def note(self, error: BaseException) -> None:
        """Note a failed attempt, without secrets."""
        lines = "".join(traceback.format_exception(error))
        span = trace.get_current_span()
        span.add_event(
            "exception",
            {
                "exception.type": type(error).__name__,
                "exception.message": self._redact(str(error)),
                "exception.stacktrace": self._redact(lines),
            },
        )
        span.set_status(Status(StatusCode.ERROR))

    def _begin(self, _: Flask, **__: Any) -> None:
        route = request.url_rule.rule if request.url_rule else ""
        span = self._tracer.start_span(
            f"{request.method} {route}".strip(),
            propagator.extract(request.headers),
            SpanKind.SERVER,
            {
                "http.request.method": request.method,
                "http.route": route,
                "url.scheme": request.scheme,
                "request.id": current_request_id() or "",
            },
        )
        g.span = span, context.attach(trace.set_span_in_context(span))

    def _fail(self, _: Flask, exception: BaseException, **__: Any) -> None:
        self.note(exception)

    def _answer(self, _: Flask, response: Response, **__: Any) -> None:
        span = trace.get_current_span()
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 500:
            span.set_status(Status(StatusCode.ERROR))

    def _end(self, _: Flask, **__: Any) -> None:
        if "span" in g:
            span, token = g.pop("span")
            context.detach(token)
            span.end()

    def _flush(self, **_: Any) -> None:
        self._provider.shutdown()


def as_warning(record: logging.LogRecord) -> bool:
    """Make a warning of what the exporter calls an error: nothing but traces is lost."""
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
