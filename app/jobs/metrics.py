"""Measures of jobs, looked up in their rows: right for all workers, on whichever hosts they are."""

import logging
from collections import Counter, defaultdict
from datetime import datetime

from flask import Flask
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.core import metrics
from app.extensions import db
from app.jobs.models import QUEUED, Heartbeat, Job, is_buried, is_open, moment

logger = logging.getLogger(__name__)

RECENT = 300.0  # seconds
ROWS = 5000  # the newest that are looked at, however many there are


def init_app(app: Flask) -> None:
    """Look at the jobs whenever the measures of `app` are asked for."""
    metrics.add(app, Jobs(app))


class Jobs(Collector):
    """How the jobs of each task are, and how those that ended lately went."""

    def __init__(self, app: Flask) -> None:
        """Look into the database of `app`."""
        self._app = app

    def collect(self) -> list[Metric]:
        """Return every measure, none while the database is away: requests are counted without."""
        with self._app.app_context():
            try:
                return [states(), oldest(), sweep_age(), *recent()]
            except SQLAlchemyError as error:
                logger.warning("Jobs cannot be measured: %s", error)
                return []


def states() -> Metric:
    """Count what is not done: each state has an index of its own."""
    metric = GaugeMetricFamily("stockpot_jobs", "Jobs not done.", labels=["task", "state"])
    for condition in (is_open, is_buried):
        query = select(Job.task, Job.state, func.count()).where(condition)
        for task, state, number in db.session.execute(query.group_by(Job.task, Job.state)):
            metric.add_metric([task, state], number)
    return metric


def oldest() -> Metric:
    """Return for how long the oldest due job of each queue has waited."""
    metric = GaugeMetricFamily(
        "stockpot_jobs_oldest_seconds",
        "Seconds that the oldest due job has waited.",
        labels=["queue"],
    )
    due = is_open & (Job.state == QUEUED) & (Job.due_at <= moment())
    query = select(Job.queue, func.min(Job.due_at), moment()).where(due).group_by(Job.queue)
    for queue, since, now in db.session.execute(query):
        metric.add_metric([queue], (now - since).total_seconds())
    return metric


def sweep_age() -> Metric:
    """Return how long ago a worker looked for jobs."""
    metric = GaugeMetricFamily(
        "stockpot_jobs_sweep_age_seconds", "Seconds since a worker looked for jobs."
    )
    query = select(Heartbeat.beaten_at, moment()).where(Heartbeat.name == "sweep")
    for beaten_at, now in db.session.execute(query):
        metric.add_metric([], (now - beaten_at).total_seconds())
    return metric


def recent() -> list[Metric]:
    """Return how the jobs went that ended in the last five minutes."""
    ended = GaugeMetricFamily(
        "stockpot_jobs_ended", "Jobs that ended in the last 5 minutes.", labels=["task", "state"]
    )
    waits = GaugeMetricFamily(
        "stockpot_job_wait_seconds",
        "Seconds from the enqueueing to the start of these, a countdown included.",
        labels=["task", "of"],
    )
    runs = GaugeMetricFamily(
        "stockpot_job_run_seconds", "Seconds that they ran.", labels=["task", "of"]
    )
    waited, ran = defaultdict(list), defaultdict(list)
    states = Counter()
    for task, state, created_at, started_at, finished_at in db.session.execute(ended_lately()):
        states[task, state] += 1
        if started_at and finished_at:
            waited[task].append((started_at - created_at).total_seconds())
            ran[task].append((finished_at - started_at).total_seconds())
    for (task, state), number in states.items():
        ended.add_metric([task, state], number)
    for metric, values in ((waits, waited), (runs, ran)):
        for task, seconds in values.items():
            for name, value in statistics_of(seconds).items():
                metric.add_metric([task, name], value)
    return [ended, waits, runs]


def ended_lately() -> Select[str, str, datetime, datetime | None, datetime | None]:
    """Return the query for the newest of those that ended."""
    columns = (Job.task, Job.state, Job.created_at, Job.started_at, Job.finished_at)
    lately = ~is_open & (Job.finished_at > moment(-RECENT))
    return select(*columns).where(lately).order_by(Job.finished_at.desc()).limit(ROWS)


def statistics_of(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "median": ordered[round(last * 0.5)],
        "p95": ordered[round(last * 0.95)],
        "max": ordered[last],
    }
