"""Measures for Prometheus: what the processes of a server count, and what collectors look up.

Loaded only where METRICS_TOKEN is set. Several processes count in files, in a folder that server.py
makes; whichever of them is asked adds all of them up.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPMethod
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.requests import seconds_since_the_begin
from app.extensions import db

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
TICKS = os.sysconf("SC_CLK_TCK")  # a second
METHODS = {*HTTPMethod}

counted = CollectorRegistry()
requests = Counter(
    "stockpot_requests", "Requests answered.", ["method", "route", "status"], registry=counted
)
seconds = Histogram(
    "stockpot_request_seconds",
    "Seconds until the answer to a request began.",
    ["route"],
    buckets=BUCKETS,
    registry=counted,
)
connections = Gauge(
    "stockpot_database_connections",
    "Connections to the database: open ones, and those of them in use.",
    ["state"],
    multiprocess_mode="livesum",
    registry=counted,
)


def init_app(app: Flask) -> None:
    """Count the requests and the database connections of `app`."""
    app.extensions["metrics"] = []
    app.after_request(count)
    with app.app_context():
        event.listen(db.engine, "connect", lambda *_: connections.labels("open").inc())
        event.listen(db.engine, "close", lambda *_: connections.labels("open").dec())
        event.listen(db.engine, "checkout", taken)
        event.listen(db.engine, "checkin", given_back)


def taken(_: Any, record: ConnectionPoolEntry, __: Any) -> None:
    """Count a connection that begins to be used."""
    record.record_info["counted"] = True  # type: ignore[index]
    connections.labels("used").inc()


def given_back(_: Any, record: ConnectionPoolEntry) -> None:
    """Count one that was used; the pool also gets back what it could not connect again."""
    if record.record_info.pop("counted", False):  # type: ignore[union-attr]
        connections.labels("used").dec()


def add(app: Flask, collector: Collector) -> None:
    """Let `collector` look something up whenever the measures of `app` are asked for."""
    app.extensions["metrics"].append(collector)


def count(response: Response) -> Response:
    """Count a request by its route, not by its path; visitors can make up methods too."""
    route = request.url_rule.rule if request.url_rule else "unknown"
    method = request.method if request.method in METHODS else "unknown"
    requests.labels(method, route, str(response.status_code)).inc()
    seconds.labels(route).observe(seconds_since_the_begin())
    return response


def exposed(app: Flask) -> bytes:
    """Return all measures in the text format of Prometheus."""
    registry = CollectorRegistry()
    folder = app.config["METRICS_FOLDER"]
    if folder:
        for pid in pids_in(folder):
            if not Path(f"/proc/{pid}").exists():
                with suppress(FileNotFoundError):  # another process answers too, and was faster
                    mark_process_dead(pid, folder)
        MultiProcessCollector(registry, folder)
    else:
        registry.register(Counted())
    registry.register(Processes(pids_in(folder) if folder else [os.getpid()]))
    for collector in app.extensions["metrics"]:
        registry.register(collector)
    return generate_latest(registry)


def pids_in(folder: str) -> list[int]:
    """Return the processes that count in `folder`, or did."""
    return sorted({int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("*_*.db")})


class Counted(Collector):
    """What this one process counted."""

    def collect(self) -> Iterator[Metric]:
        """Yield every measure."""
        yield from counted.collect()


class Processes(Collector):
    """Memory and processor time of each process that lives."""

    def __init__(self, pids: list[int]) -> None:
        """Look at these processes."""
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Yield both. Source: proc(5)."""
        memory = GaugeMetricFamily(
            "stockpot_process_memory_bytes", "Resident memory of a process.", labels=["pid"]
        )
        time = CounterMetricFamily(
            "stockpot_process_cpu_seconds", "Processor time of a process.", labels=["pid"]
        )
        for pid in self._pids:
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
                stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
            except OSError:
                continue
            user, system = stat.rpartition(")")[2].split()[11:13]
            memory.add_metric([str(pid)], pages * PAGE)
            time.add_metric([str(pid)], (int(user) + int(system)) / TICKS)
        yield from (memory, time)
