"""Background work: what enqueueing costs a request, and what two processes do in a second."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery
from flask import Flask
from sqlalchemy import delete

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.tasks import send_email
from benchmarks import commands
from benchmarks.figures import Figures, percentile
from benchmarks.stand import CORES, DATABASE, Stand, Tree
from benchmarks.tasks import LETTER, durable_nothing

COMMIT = "commit of a user"
WITH_JOB = "commit of a user and a job: `delay_on_commit()`"
DELAY = "`delay()`"

PLAIN = "plain Celery: nothing"
DURABLE = "durable job: nothing"
KEPT = "plain Celery: a mail, connection kept open"
ALONE = "plain Celery: a mail, connection each"
USUAL = "the usual design: a mail, connection each"
MAIL = "durable job: a mail, connection kept open"
WARM = 0.1  # of the work is done before the clock starts


@dataclass(frozen=True)
class Work:
    """Many tasks of one kind: who does them, how one is enqueued, and what tells they are done."""

    worker: str
    enqueue: Callable[[Stand], None]
    counts_mails: bool
    base: str


def by_name(task: str, *arguments: object) -> Callable[[Stand], None]:
    """Return a function that enqueues a plain task."""

    def enqueue(stand: Stand) -> None:
        count = stand.scale.mails if "send" in task else stand.scale.tasks
        with Celery(broker=stand.broker.server.url(0), set_as_current=False) as sender:
            for _ in range(count):
                sender.send_task(task, arguments)

    return enqueue


def durable_tasks(stand: Stand) -> None:
    """Enqueue durable jobs that do nothing, in one transaction."""
    enqueue_durable(stand.app(), stand.scale.tasks)


def durable_mails(stand: Stand) -> None:
    """Enqueue mails as durable jobs, in one transaction."""
    with stand.app().app_context():
        for _ in range(stand.scale.mails):
            send_email.delay_on_commit(*LETTER)
        db.session.commit()


WORKS = {
    PLAIN: Work("benchmarks.plain.celery", by_name("benchmarks.plain.nothing"), False, PLAIN),
    DURABLE: Work("benchmarks.worker.celery", durable_tasks, False, PLAIN),
    KEPT: Work("benchmarks.plain.celery", by_name("benchmarks.plain.send_kept_open"), True, KEPT),
    ALONE: Work("benchmarks.plain.celery", by_name("benchmarks.plain.send_alone"), True, KEPT),
    USUAL: Work(
        "benchmarks.baseline.celery_worker.celery",
        by_name("benchmarks.baseline.tasks.send_email", *LETTER),
        True,
        KEPT,
    ),
    MAIL: Work("benchmarks.worker.celery", durable_mails, True, KEPT),
}


def run_enqueueing(stand: Stand, figures: Figures) -> None:
    """Measure a commit alone, with a job, and a plain call."""
    for _ in range(stand.scale.rounds):
        for name, milliseconds in enqueueing(stand, DATABASE).items():
            figures.note(name, milliseconds, "ms", COMMIT)


def enqueueing(stand: Stand, database: str) -> dict[str, float]:
    """Return the median milliseconds of each, one after the other within this process."""
    times: dict[str, list[float]] = {COMMIT: [], WITH_JOB: [], DELAY: []}
    app = stand.app(database)
    steps: dict[str, Callable[[], object]] = {
        COMMIT: lambda: commit(job=False),
        WITH_JOB: lambda: commit(job=True),
        DELAY: lambda: send_email.delay(*LETTER),
    }
    with app.app_context():
        for _ in range(stand.scale.enqueued):
            for name, step in steps.items():
                began = time.perf_counter()
                step()
                times[name].append((time.perf_counter() - began) * 1000)
    clean(stand, app)
    return {name: percentile(values, 50) for name, values in times.items()}


def commit(job: bool) -> None:
    """Commit a new user, with a mail or without."""
    name = uuid.uuid4().hex
    db.session.add(User(email=f"{name}@example.com", fs_uniquifier=name))
    if job:
        send_email.delay_on_commit(*LETTER)
    db.session.commit()


def run_work(stand: Stand, figures: Figures) -> None:
    """Measure each kind of work in turn."""
    for _ in range(stand.scale.rounds):
        for name, work in WORKS.items():
            unit = "mails/s" if work.counts_mails else "tasks/s"
            figures.note(name, speed_of(stand, work), unit, work.base)


def speed_of(stand: Stand, work: Work) -> float:
    """Return how many a worker with a process for each core does in a second.

    Everything is enqueued before the worker starts, so that nothing else runs then.
    """
    clean(stand, stand.app())
    work.enqueue(stand)
    count = stand.scale.mails if work.counts_mails else stand.scale.tasks
    done = (lambda: stand.sink.received) if work.counts_mails else stand.counted
    with stand.runs(commands.worker(work.worker), DATABASE) as tree:
        return timed(stand, done, count, tree)


def speed_of_jobs(stand: Stand, database: str, processes: int = CORES) -> float:
    """Return how many durable jobs, which do nothing, a worker does in a second."""
    app, count = stand.app(database), stand.scale.few_tasks
    clean(stand, app)
    enqueue_durable(app, count)
    with stand.runs(commands.worker("benchmarks.worker.celery", processes), database) as tree:
        return timed(stand, stand.counted, count, tree)


def timed(stand: Stand, done: Callable[[], int], count: int, tree: Tree) -> float:
    """Return how many are done in a second, between the first tenth and the last."""
    stand.wait(lambda: done() >= count * WARM, tree)
    first, began = done(), time.perf_counter()
    stand.wait(lambda: done() >= count, tree)
    return (count - first) / (time.perf_counter() - began)


def enqueue_durable(app: Flask, count: int) -> None:
    """Enqueue durable jobs that do nothing, in one transaction."""
    with app.app_context():
        for _ in range(count):
            durable_nothing.delay_on_commit()
        db.session.commit()


def clean(stand: Stand, app: Flask) -> None:
    """Leave no job in the database that is to be done, and nothing in the broker."""
    with app.app_context():
        db.session.execute(delete(Job).where(Job.state.in_(("queued", "running"))))
        db.session.commit()
    stand.forget()
