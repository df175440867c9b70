"""What people do with jobs: look, replay, cancel, purge, and ask whether all is well."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import current_app
from sqlalchemy import case, delete, func, select, update

from app.extensions import db
from app.jobs.models import (
    CANCELLED,
    CLOSED,
    DEAD,
    HELD,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Heartbeat,
    Job,
    is_open,
    moment,
)

BATCH = 1000  # rows a purge deletes in one transaction
KEEP_DAYS = {SUCCEEDED: 7, CANCELLED: 7, DEAD: 90, HELD: 90}
STARS = "********"


@dataclass(frozen=True)
class Figures:
    """How the jobs of one task are."""

    task: str
    queued: int
    running: int
    dead: int
    held: int
    oldest: float  # seconds that the oldest due job has waited, 0 without one
    mean_run: float  # seconds the kept succeeded jobs took on average


def find(job_id: uuid.UUID) -> Job | None:
    """Return a job."""
    return db.session.get(Job, job_id)


def newest(
    state: str | None = None, task: str | None = None, owner: object = None, limit: int = 50
) -> Sequence[Job]:
    """Return the newest jobs, newest first."""
    query = select(Job).order_by(Job.created_at.desc()).limit(limit)
    if state:
        query = query.where(Job.state == state)
    if task:
        query = query.where(Job.task == task)
    if owner is not None:
        query = query.where(Job.owner == str(owner))
    return db.session.scalars(query).all()


def replay(job_ids: Sequence[uuid.UUID] = (), task: str | None = None) -> int:
    """Queue dead and held jobs again, by id or all of a task; return how many."""
    statement = update(Job).where(Job.state.in_((DEAD, HELD)))
    statement = statement.where(Job.task == task if task else Job.id.in_(job_ids))
    again = {
        "state": QUEUED,
        "attempts": 0,
        "due_at": moment(),
        "hinted_at": None,
        "handoff_at": None,
        "finished_at": None,
        "cancelling": False,
    }
    return len(db.session.scalars(statement.values(again).returning(Job.id)).all())


def cancel(job_id: uuid.UUID) -> str | None:
    """Cancel a queued job at once, ask a running one to stop; return its state, None if unknown."""
    idle = (Job.state == QUEUED) | (is_open & (Job.due_at <= moment()))  # or its worker was lost
    queued = update(Job).where(Job.id == job_id, idle)
    # Or queued again since: a worker that claims it sees that it is not wanted any more.
    running = update(Job).where(Job.id == job_id, is_open)
    db.session.execute(
        queued.values(state=CANCELLED, lease=None, finished_at=moment(), error="Cancelled.")
    )
    db.session.execute(running.values(cancelling=True))
    return db.session.scalar(select(Job.state).where(Job.id == job_id))


def purge() -> int:
    """Delete up to a thousand finished jobs that are old enough; return how many."""
    old = (
        select(Job.id)
        .where(
            Job.state.in_(CLOSED),
            case(
                *(
                    (Job.state == state, Job.finished_at < moment(-86400.0 * days))
                    for state, days in KEEP_DAYS.items()
                )
            ),
        )
        .limit(BATCH)
    )
    return len(db.session.scalars(delete(Job).where(Job.id.in_(old)).returning(Job.id)).all())


def figures() -> list[Figures]:
    """Return how the jobs of each task are."""

    def count(state: str) -> Any:
        return func.count(case((Job.state == state, 1)))

    due = case((is_open & (Job.state == QUEUED) & (Job.due_at <= moment()), Job.due_at))
    rows = db.session.execute(
        select(Job.task, *map(count, (QUEUED, RUNNING, DEAD, HELD)), func.min(due), moment())
        .group_by(Job.task)
        .order_by(Job.task)
    )
    return [
        Figures(*row[:5], oldest=_age(row[5], row[6]), mean_run=_mean_run(row[0])) for row in rows
    ]


def _mean_run(task: str) -> float:
    """Return the mean over the newest hundred."""
    runs = db.session.execute(
        select(Job.started_at, Job.finished_at)
        .where(Job.task == task, Job.state == SUCCEEDED)
        .order_by(Job.finished_at.desc())
        .limit(100)
    ).all()
    seconds = [_age(start, end) for start, end in runs if end]
    return sum(seconds) / len(seconds) if seconds else 0.0


def problems(oldest_allowed: float, sweep_allowed: float) -> list[str]:
    """Return what is wrong: a due job that waits too long, or no worker that sweeps (seconds)."""
    now = db.session.execute(select(moment())).scalar_one()
    oldest = db.session.scalar(select(func.min(Job.due_at)).where(is_open, Job.due_at <= moment()))
    swept = db.session.get(Heartbeat, "sweep", populate_existing=True)
    found = []
    if _age(oldest, now) > oldest_allowed:
        found.append(f"The oldest due job has waited for {_age(oldest, now):.0f} s.")
    # Workers whose every process does a long job cannot sweep, but keep their leases.
    at_work = db.session.scalar(
        select(Job.id).where(is_open, Job.lease.is_not(None)).where(Job.due_at > moment()).limit(1)
    )
    if not at_work and (swept is None or _age(swept.beaten_at, now) > sweep_allowed):
        found.append("No worker has looked for jobs lately. Start one, or restart it.")
    return found


def shown_arguments(job: Job) -> dict[str, Any]:
    """Return the arguments of `job` fit to be shown: what its task calls secret as stars."""
    task = current_app.extensions["celery"].tasks.get(job.task)
    if task is None:
        return {"args": STARS, "kwargs": STARS}
    try:
        bound = task.signature_of_run().bind(*job.arguments["args"], **job.arguments["kwargs"])
    except TypeError:
        return {"args": STARS, "kwargs": STARS}
    return {
        name: STARS if name in task.secret_arguments else value
        for name, value in bound.arguments.items()
    }


def _age(then: datetime | None, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds()) if then else 0.0
