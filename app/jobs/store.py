"""What may happen to a job's row, each step one statement; nothing here commits.

A step that belongs to a run names the run's lease: a worker that was frozen past its lease, and
woke up, finds that its steps touch no row.
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Update, func, literal, null, select, update
from sqlalchemy.orm import Session

from app.jobs.models import (
    DEAD,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Job,
    is_open,
    moment,
)

ERROR_LENGTH = 4000  # characters kept of what an attempt said
LOST = "The worker died or lost its lease during every one of its attempts."


def is_due() -> Any:
    """Return the condition that a row may be claimed now."""
    return is_open & (Job.due_at <= moment())


@dataclass(frozen=True)
class Claimed:
    """A job as it was claimed, free of any session."""

    id: uuid.UUID
    task: str
    queue: str
    arguments: dict[str, Any]
    attempts: int
    max_attempts: int
    created_at: datetime
    handoff_at: datetime | None
    request_id: str | None


COLUMNS = [Job.__table__.c[field.name] for field in fields(Claimed)]


def claim(session: Session, lease: uuid.UUID, seconds: float, job_id: uuid.UUID) -> Claimed | None:
    """Give the job `job_id` the lease, counted as an attempt; None if it is not to be had."""
    return _claimed(session, _claiming(lease, seconds).where(Job.id == job_id))


def claim_next(
    session: Session, lease: uuid.UUID, seconds: float, task: str, queue: str
) -> Claimed | None:
    """Give the first due job of this task and queue the lease; None if there is none."""
    first = (
        select(Job.id)
        .where(is_due(), Job.attempts < Job.max_attempts, Job.task == task, Job.queue == queue)
        .order_by(Job.priority, Job.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return _claimed(session, _claiming(lease, seconds).where(Job.id == first.scalar_subquery()))


def _claiming(lease: uuid.UUID, seconds: float) -> Update:
    return (
        update(Job)
        .where(is_due(), Job.attempts < Job.max_attempts)
        .values(
            state=RUNNING,
            lease=lease,
            attempts=Job.attempts + 1,
            due_at=moment(seconds),
            started_at=moment(),
            hinted_at=None,
        )
        .execution_options(synchronize_session=False)
    )


def _claimed(session: Session, statement: Update) -> Claimed | None:
    row = session.execute(statement.returning(*COLUMNS)).one_or_none()
    return Claimed(*row) if row else None


def _held_by(job_id: uuid.UUID, lease: uuid.UUID) -> Update:
    return (
        update(Job)
        .where(Job.id == job_id, Job.lease == lease, Job.state == RUNNING)
        .execution_options(synchronize_session=False)
    )


def _changed(session: Session, statement: Update) -> bool:
    return session.execute(statement.returning(Job.id)).first() is not None


def extend(session: Session, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> bool:
    """Move the end of the lease; False if it was lost."""
    return _changed(session, _held_by(job_id, lease).values(due_at=moment(seconds)))


def report(
    session: Session,
    job_id: uuid.UUID,
    lease: uuid.UUID,
    seconds: float,
    progress: tuple[int, int | None, str | None],
) -> bool:
    """Note how far the job is, which extends the lease too; False if it was lost."""
    done, total, note = progress
    values = {"done": done, "total": total, "note": note, "due_at": moment(seconds)}
    return _changed(session, _held_by(job_id, lease).values(values))


def hand_off(session: Session, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> bool:
    """Note that what follows cannot be taken back; False if the lease was lost."""
    values = {"handoff_at": moment(), "due_at": moment(seconds)}
    return _changed(session, _held_by(job_id, lease).values(values))


def succeed(
    session: Session, job_id: uuid.UUID, lease: uuid.UUID, result: Any, receipt: str | None
) -> bool:
    """Finish the job; False if the lease was lost."""
    return _changed(
        session,
        _held_by(job_id, lease).values(
            state=SUCCEEDED,
            lease=None,
            result=null() if result is None else result,
            receipt=receipt,
            error=None,
            finished_at=moment(),
        ),
    )


def fail(
    session: Session, job_id: uuid.UUID, lease: uuid.UUID, error: str, retry_in: float | None
) -> bool:
    """Let the job try again in `retry_in` seconds, or bury it; False if the lease was lost."""
    values: dict[str, Any] = {"error": error[:ERROR_LENGTH], "lease": None}
    if retry_in is None:
        values |= {"state": DEAD, "finished_at": moment()}
    else:
        values |= {"state": QUEUED, "due_at": moment(retry_in), "handoff_at": None}
    return _changed(session, _held_by(job_id, lease).values(values))


def close(session: Session, job_id: uuid.UUID, lease: uuid.UUID, state: str, error: str) -> bool:
    """Hold or cancel a job that runs, for the reason `error`; False if the lease was lost."""
    values = {"state": state, "error": error, "lease": None, "finished_at": moment()}
    return _changed(session, _held_by(job_id, lease).values(values))


def release(session: Session, job_id: uuid.UUID, lease: uuid.UUID) -> bool:
    """Let the lease go at once, with the attempt given back; False if it was lost."""
    values = {"state": QUEUED, "lease": None, "due_at": moment(), "attempts": Job.attempts - 1}
    return _changed(session, _held_by(job_id, lease).values(values))


def bury_lost(session: Session) -> int:
    """Bury jobs whose worker was lost in every attempt; return how many."""
    statement = (
        update(Job)
        .where(is_due(), Job.attempts >= Job.max_attempts)
        .values(
            state=DEAD,
            lease=None,
            error=func.coalesce(literal(LOST + " Before: ") + Job.error, LOST),
            finished_at=moment(),
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return len(session.scalars(statement).all())


def unhinted(session: Session, age: float, limit: int) -> Sequence[tuple[uuid.UUID, str, str, int]]:
    """Mark due rows that were not hinted, or longer ago than `age` seconds, as hinted now.

    Returns id, task, queue and priority of each.
    """
    lonely = (
        select(Job.id)
        .where(is_due(), Job.hinted_at.is_(None) | (Job.hinted_at < moment(-age)))
        .order_by(Job.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Job)
        .where(Job.id.in_(lonely))
        .values(hinted_at=moment())
        .returning(Job.id, Job.task, Job.queue, Job.priority)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).tuples().all()


def backoff(attempts: int, base: float, cap: float) -> float:
    """Return how many seconds to wait: exponential, with full jitter, at most `cap`."""
    return random.uniform(0, min(cap, base * 2 ** (attempts - 1)))  # noqa: S311 - no secret
