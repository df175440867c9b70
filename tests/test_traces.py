"""Traces and errors go from a request through its job to a collector and to Sentry, if wanted."""

import gzip
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import config
import settings
from app.extensions import db
from app.tasks import send_email
from settings import ConfigurationError
from tests.support import ROOT, Process, Valkey, answers, free_port, wait_until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENTRY_TRACE = "9f61de5cd33ea6b5fd0aaadb5b2ee16c"
PASSWORD = "hunter-2-is-a-secret"
JOB, TASK = "tests.jobs_tasks.fail_for_good", "tests.jobs_tasks.leave_in_g"
Event = dict[str, Any]


class Collector:
    """Takes what the clients of OpenTelemetry and of Sentry send."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.spans: list[Any] = []
        self.events: list[Event] = []
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                (taken.take_spans if self.path == "/v1/traces" else taken.take_envelope)(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{self._server.server_port}"
        self.variables = {
            "SENTRY_DSN": f"http://public-key@{address}/1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds
        }

    def take_spans(self, body: bytes) -> None:
        """Keep the spans of an export."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def take_envelope(self, body: bytes) -> None:
        """Keep the events of an envelope; none of ours has a line break in an item."""
        lines = body.splitlines()[1:]
        for head, item in zip(lines[::2], lines[1::2], strict=False):
            if json.loads(head)["type"] == "event":
                self.events.append(json.loads(item))

    def span(self, name: str) -> Any:
        """Return the span `name` of the trace, once it is there."""

        def found() -> list[Any]:
            wanted = bytes.fromhex(TRACE)
            return [span for span in self.spans if (span.name, span.trace_id) == (name, wanted)]

        return wait_until(found, f"a span {name}")[0]

    def event(self, kind: str) -> Event:
        """Return the event about an exception of this kind, once it is there."""

        def found() -> list[Event]:
            return [
                event for event in self.events if event["exception"]["values"][-1]["type"] == kind
            ]

        return wait_until(found, f"an event about {kind}")[0]

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a collector that has nothing yet."""
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def variables(
    new_database: Callable[[str], str], valkey: Valkey, collector: Collector
) -> Iterator[dict[str, str]]:
    """Return the environment of a web server and of a worker."""
    yield {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": new_database("traced"),
        "CELERY_BROKER_URL": valkey.url(8),
        **collector.variables,
    }
    valkey.empty(8)


@pytest.fixture
def start_worker(variables: dict[str, str]) -> Iterator[Callable[..., Process]]:
    """Return a function that starts a worker with two processes, which reports."""
    started: list[Process] = []

    def start(**changes: str) -> Process:
        command = [sys.executable, "-m", "celery", "-A", "tests.jobs_worker.celery", "worker"]
        options = ["--loglevel=info", "--concurrency=2"]
        started.append(Process([*command, *options], {**variables, **changes}))
        started[-1].wait_for(r"ready\.")
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def port(variables: dict[str, str]) -> Iterator[int]:
    """Return the port of a web server with two processes, which reports."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    server = Process([*command, "--workers", "2", "tests.traced_web:application"], variables)
    wait_until(lambda: answers(port), "the server answers")
    yield port
    server.stop()


def visit(port: int, path: Path) -> str:
    """Open the page that fails; return the id of the request."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/traced?path={path}&password={PASSWORD}",
        headers={
            "Traceparent": f"00-{TRACE}-{CALLER}-01",
            "Sentry-Trace": f"{SENTRY_TRACE}-{CALLER}-1",
            "Cookie": f"session={PASSWORD}",
            "X-Forwarded-For": "203.0.113.7",
        },
    )
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request, timeout=60)
    with answer.value as error:
        assert error.code == 500
        return error.headers["X-Request-ID"]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_and_its_job_are_one_trace(
    collector: Collector, start_worker: Callable[..., Process], port: int, tmp_path: Path
) -> None:
    start_worker()
    request_id = visit(port, tmp_path / "left")
    request = collector.span("GET /traced")
    job, task = collector.span(JOB), collector.span(TASK)
    assert request.parent_span_id == bytes.fromhex(CALLER)
    assert {job.parent_span_id, task.parent_span_id} == {request.span_id}
    assert attributes(request)["http.response.status_code"] == 500
    assert {attributes(span)["request.id"] for span in (request, job, task)} == {request_id}
    assert attributes(job)["task.id"]
    failed, error = request.status.code, 2
    assert [failed, job.status.code, task.status.code] == [error, error, 0]

    web, dead = collector.event("RuntimeError"), collector.event("PermanentError")
    assert {event["contexts"]["trace"]["trace_id"] for event in (web, dead)} == {SENTRY_TRACE}
    assert {event["tags"]["request_id"] for event in (web, dead)} == {request_id}
    assert dead["tags"]["task_id"] == attributes(job)["task.id"]
    assert dead["transaction"] == JOB
    assert len(collector.events) == 2, "each error once"
    said = json.dumps(collector.events) + "".join(map(str, collector.spans))
    for secret in (PASSWORD, "ada@", "203.0.113.7", "only-for-tests", " from 127", "vars"):
        assert secret not in said
    assert "a***@example.com has the password=[redacted]" in said


def test_a_worker_that_stops_sends_what_it_has(
    collector: Collector, start_worker: Callable[..., Process], app: Flask, tmp_path: Path
) -> None:
    process = start_worker(
        OTEL_BSP_SCHEDULE_DELAY="600000", CELERY_BROKER_URL=app.config["CELERY_BROKER_URL"]
    )
    headers = {"trace": {"traceparent": f"00-{TRACE}-{CALLER}-01"}}
    path = str(tmp_path / "left")
    app.extensions["celery"].send_task(TASK, [path], headers=headers)
    wait_until((tmp_path / "left").exists, "the task ran")
    assert collector.spans == []
    process.stop()
    assert collector.span(TASK)


@pytest.mark.parametrize("entry", ["application", "celery_worker"])
def test_nothing_is_imported_where_neither_is_wanted(entry: str) -> None:
    code = f"import {entry}, sys; print([n for n in sys.modules if n[:6] in ('sentry', 'opente')])"
    variables = {**os.environ, "CONFIG_TYPE": "config.TestingConfig"}
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=variables)
    assert output.decode().strip() == "[]"


def test_a_job_carries_nothing_where_neither_is_wanted(app: Flask) -> None:
    with app.app_context():
        job = send_email.delay_on_commit("ada@example.com", "main/mail/contact", {})
        db.session.commit()
        assert job.trace is None


def test_what_is_wanted_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(settings, "distribution", missing)
    wanted = {"SENTRY_DSN": "https://key@sentry.example/1"}
    wanted["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://collector.example:4318"
    with pytest.raises(ConfigurationError) as refused:
        config.load("config.TestingConfig", wanted)
    assert "SENTRY_DSN needs the package sentry-sdk, which is not installed" in str(refused.value)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT needs the package opentelemetry-" in str(refused.value)
    assert "install requirements-extras.txt" in str(refused.value)


@pytest.mark.parametrize("dsn", ["sentry.example", "https://sentry.example/1", "ftp://k@s/1"])
def test_a_dsn_that_is_none_is_refused(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="SENTRY_DSN is no address like"):
        config.load("config.TestingConfig", {"SENTRY_DSN": dsn})
