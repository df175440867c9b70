"""`/metrics`: what is counted, over all processes, and who may read it."""

import http.client
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.extensions import db
from app.jobs.models import DEAD, Job
from app.jobs.sweep import beat
from app.tasks import send_email
from tests.support import Process, free_port

TOKEN = "a-token-for-measures"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Measures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def measured(make_app: Callable[..., Flask]) -> Flask:
    """Return an application that is measured."""
    return make_app(METRICS_TOKEN=TOKEN)


def parsed(text: str) -> Measures:
    """Return the samples of an answer by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def measures_of(client: FlaskClient) -> Measures:
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    return parsed(response.text)


def of(measures: Measures, name: str, **labels: str) -> float:
    """Return one sample, 0 when it is not there."""
    return measures.get((name, frozenset(labels.items())), 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \N{SNOWMAN}".encode().decode("latin-1")},
    ],
)
def test_only_who_has_the_token_reads_them(measured: Flask, headers: dict[str, str]) -> None:
    response = measured.test_client().get("/metrics", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "stockpot_" not in response.text


def test_without_a_token_there_are_none(app: Flask) -> None:
    assert app.test_client().get("/metrics", headers=BEARER).status_code == 404


def test_requests_are_counted_by_route_and_status(measured: Flask) -> None:
    client = measured.test_client()
    before = measures_of(client)
    for path in ("/", "/users/register/a@example.com", "/users/register/b@example.com", "/x", "/y"):
        client.get(path)
    client.post("/contact")
    client.open("/", method="BREW")
    client.open("/", method="BREW-TWICE")
    after = measures_of(client)

    def more(name: str, **labels: str) -> float:
        return of(after, name, **labels) - of(before, name, **labels)

    total = "stockpot_requests_total"
    assert more(total, method="GET", route="/", status="200") == 1
    assert more(total, method="GET", route="/users/register/<email>", status="200") == 2
    assert more(total, method="GET", route="unknown", status="404") == 2
    assert more(total, method="POST", route="/contact", status="400") == 1
    assert more(total, method="unknown", route="unknown", status="405") == 2
    assert more("stockpot_request_seconds_count", route="/") == 1
    assert more("stockpot_request_seconds_bucket", route="/", le="+Inf") == 1
    assert of(after, "stockpot_database_connections", state="open") >= 1
    assert of(after, "stockpot_process_memory_bytes", pid=str(os.getpid())) > 1e6


def test_requests_are_measured_while_the_database_is_away(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    app = make_app(METRICS_TOKEN=TOKEN, DATABASE_URL=f"sqlite:///{place / 'app.db'}")
    client = app.test_client()
    used = of(measures_of(client), "stockpot_database_connections", state="used")
    with app.app_context(), db.engine.connect() as connection:
        connection.invalidate()
    shutil.rmtree(place)
    assert client.get("/readyz").status_code == 503
    measures = measures_of(client)
    assert of(measures, "stockpot_requests_total", method="GET", route="/readyz", status="503") > 0
    assert not [name for name, _ in measures if name.startswith("stockpot_job")]
    now = of(measures, "stockpot_database_connections", state="used")
    assert now == used, "what could not be connected is not used"


def test_jobs_are_looked_up(measured: Flask) -> None:
    task = send_email.name
    letter = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
    with measured.app_context():
        jobs = [
            send_email.delay_on_commit("ada@example.com", "main/mail/contact", letter)
            for _ in range(3)
        ]
        db.session.commit()
        dead = db.session.get_one(Job, jobs[0].id)
        dead.state, dead.started_at, dead.finished_at = DEAD, dead.created_at, dead.created_at
        beat("sweep")
        db.session.commit()
    measures = measures_of(measured.test_client())
    assert of(measures, "stockpot_jobs", task=task, state="queued") == 2
    assert of(measures, "stockpot_jobs", task=task, state="dead") == 1
    assert of(measures, "stockpot_jobs_ended", task=task, state="dead") == 1
    assert ("stockpot_jobs_oldest_seconds", frozenset({("queue", "mail")})) in measures
    assert ("stockpot_jobs_sweep_age_seconds", frozenset()) in measures
    for kind in ("wait", "run"):
        assert of(measures, f"stockpot_job_{kind}_seconds", task=task, of="max") == 0


@contextmanager
def served(app: Flask, **variables: str) -> Iterator[int]:
    """Serve `app` with two processes; return the port."""
    port = free_port()
    settings = {
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": app.config["DATABASE_URL"],
        "METRICS_TOKEN": TOKEN,
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }
    server = Process([sys.executable, "server.py"], {**os.environ, **settings, **variables})
    try:
        server.wait_for("Started worker-1")
        server.wait_for("Started worker-2")
        yield port
    finally:
        assert server.stop() == 0


def read(port: int, path: str) -> str:
    """Ask over a connection of its own, so that either process may answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=BEARER)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_all_processes_of_a_server_are_added_up(measured: Flask, tmp_path: Path) -> None:
    with served(measured, TMPDIR=str(tmp_path)) as port:
        for _ in range(40):
            read(port, "/healthz")
        texts = [read(port, "/metrics") for _ in range(10)]
        assert len(list(tmp_path.iterdir())) == 1
    labels = {"method": "GET", "route": "/healthz", "status": "200"}
    counts = {of(parsed(text), "stockpot_requests_total", **labels) for text in texts}
    assert counts == {40.0}
    assert len(set(re.findall(r'stockpot_process_memory_bytes{pid="(\d+)"}', texts[-1]))) == 2
    assert list(tmp_path.iterdir()) == [], "the files of the counts are gone"
