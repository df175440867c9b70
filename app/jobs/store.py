"""What may happen to a job's row, each step one statement; nothing here commits.

A step that belongs to a run names the run's lease: a worker that was frozen past its lease, and
woke up, finds that its steps touch no row.
"""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    Executable,
    Float,
    Table,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from app.jobs.models import (
    CANCELLED,
    DEAD,
    HELD,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Job,
    is_open,
    moment,
    statement_moment,
)

ERROR_LENGTH = 4000  # characters kept of what an attempt said
LOST = "The worker died or lost its lease during every one of its attempts."
LOST_AFTER_HANDOFF = "A worker was lost after the hand-off: find out if it was done, then decide."


def is_due() -> Any:
    """Return the condition that a row may be claimed now."""
    return is_open & (Job.due_at <= statement_moment())


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
    cancelling: bool
    request_id: str | None
    trace: dict[str, str] | None


JOBS = cast(Table, Job.__table__)
COLUMNS = [JOBS.c[field.name] for field in fields(Claimed)]

# The steps of every single job are made once: building a statement costs more than running it.
_SECONDS = bindparam("seconds", type_=Float)
_CLAIM = (
    update(JOBS)
    .where(is_due(), JOBS.c.attempts < JOBS.c.max_attempts)
    .values(
        state=RUNNING,
        lease=bindparam("new_lease"),
        attempts=JOBS.c.attempts + 1,
        due_at=moment(_SECONDS),
        started_at=moment(),
        hinted_at=None,
    )
    .returning(*COLUMNS)
)
_FIRST = (
    select(JOBS.c.id)
    .where(is_due(), JOBS.c.attempts < JOBS.c.max_attempts)
    .where(JOBS.c.task == bindparam("of_task"), JOBS.c.queue == bindparam("of_queue"))
    .order_by(JOBS.c.priority, JOBS.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
CLAIM = _CLAIM.where(JOBS.c.id == bindparam("job_id"))
NEXT_DUE = _FIRST.add_columns(JOBS.c.priority)
CLAIM_NEXT = _CLAIM.where(JOBS.c.id == _FIRST.scalar_subquery())
_HELD = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"), JOBS.c.lease == bindparam("own_lease"))
    .where(JOBS.c.state == RUNNING)
    .returning(JOBS.c.id)
)
EXTEND = _HELD.values(due_at=moment(_SECONDS))
HAND_OFF = _HELD.values(handoff_at=moment(), due_at=moment(_SECONDS))
SUCCEED = _HELD.values(
    state=SUCCEEDED,
    lease=None,
    result=bindparam("of_run", type_=JSON(none_as_null=True)),
    receipt=bindparam("of_server"),
    error=None,
    finished_at=moment(),
)


def claim(session: Session, lease: uuid.UUID, seconds: float, job_id: uuid.UUID) -> Claimed | None:
    """Give the job `job_id` the lease, counted as an attempt; None if it is not to be had."""
    values = {"job_id": job_id, "new_lease": lease, "seconds": seconds}
    row = session.execute(CLAIM, values).one_or_none()
    return Claimed(*row) if row else None


def claim_next(
    session: Session, lease: uuid.UUID, seconds: float, task: str, queue: str
) -> Claimed | None:
    """Give the first due job of this task and queue the lease; None if there is none."""
    values = {"of_task": task, "of_queue": queue, "new_lease": lease, "seconds": seconds}
    row = session.execute(CLAIM_NEXT, values).one_or_none()
    return Claimed(*row) if row else None


def next_due(session: Session, task: str, queue: str) -> tuple[uuid.UUID, int] | None:
    """Return id and priority of the first due job of this task and queue; None if there is none."""
    row = session.execute(NEXT_DUE, {"of_task": task, "of_queue": queue}).one_or_none()
    return (row.id, row.priority) if row else None


def _step(
    session: Session, step: Executable, job_id: uuid.UUID, lease: uuid.UUID, **values: Any
) -> bool:
    """Take a step that only the holder of the lease may take; False if it was lost."""
    values |= {"job_id": job_id, "own_lease": lease}
    return session.execute(step, values).first() is not None


def extend(session: Session, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> bool:
    """Move the end of the lease; False if it was lost."""
    return _step(session, EXTEND, job_id, lease, seconds=seconds)


def report(
    session: Session,
    job_id: uuid.UUID,
    lease: uuid.UUID,
    seconds: float,
    progress: tuple[int, int | None, str | None],
) -> bool:
    """Note how far the job is, which extends the lease too; False if it was lost."""
    done, total, note = progress
    note = note and storable(note)
    values = {"done": done, "total": total, "note": note, "due_at": moment(seconds)}
    return _step(session, _HELD.values(values), job_id, lease)


def hand_off(session: Session, job_id: uuid.UUID, lease: uuid.UUID, seconds: float) -> bool:
    """Note that what follows cannot be taken back; False if the lease was lost."""
    return _step(session, HAND_OFF, job_id, lease, seconds=seconds)


def succeed(
    session: Session, job_id: uuid.UUID, lease: uuid.UUID, result: Any, receipt: str | None
) -> bool:
    """Finish the job; False if the lease was lost."""
    receipt = None if receipt is None else storable(receipt)
    return _step(session, SUCCEED, job_id, lease, of_run=result, of_server=receipt)


def fail(
    session: Session, job_id: uuid.UUID, lease: uuid.UUID, error: str, retry_in: float | None
) -> bool:
    """Let the job try again in `retry_in` seconds, or bury it; False if the lease was lost."""
    values: dict[str, Any] = {"error": storable(error), "lease": None}
    if retry_in is None:
        values |= {"state": DEAD, "finished_at": moment()}
    else:
        wanted = Job.cancelling.is_(False)  # nobody asked it to stop
        values |= {
            "state": case((wanted, QUEUED), else_=CANCELLED),
            "due_at": moment(retry_in),
            "handoff_at": None,
            "finished_at": case((wanted, null()), else_=moment()),
        }
    return _step(session, _HELD.values(values), job_id, lease)


def close(session: Session, job_id: uuid.UUID, lease: uuid.UUID, state: str, error: str) -> bool:
    """Hold or cancel a job that runs, for the reason `error`; False if the lease was lost."""
    values = {"state": state, "error": storable(error), "lease": None, "finished_at": moment()}
    return _step(session, _HELD.values(values), job_id, lease)


def release(session: Session, job_id: uuid.UUID, lease: uuid.UUID) -> bool:
    """Let the lease go at once, with the attempt given back; False if it was lost."""
    values = {"state": QUEUED, "lease": None, "due_at": moment(), "attempts": Job.attempts - 1}
    return _step(session, _HELD.values(values), job_id, lease)


def bury_lost(session: Session) -> int:
    """Bury jobs whose worker was lost in every attempt; return how many.

    One that was handed off in its last attempt is held instead, if its task wants that.
    """
    held = Job.holds & Job.handoff_at.is_not(None)
    lost = func.coalesce(literal(LOST + " Before: ") + Job.error, LOST)
    statement = (
        update(Job)
        .where(is_due(), Job.attempts >= Job.max_attempts)
        .values(
            state=case((held, HELD), else_=DEAD),
            lease=None,
            error=case((held, LOST_AFTER_HANDOFF), else_=lost),
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
        .order_by(Job.hinted_at.nulls_first(), Job.due_at)  # a backlog does not hide a retry
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
    return session.execute(statement).all()


def at_work(session: Session) -> set[tuple[str, str]]:
    """Return the task and queue of every job that has a worker now."""
    statement = (
        select(Job.task, Job.queue)
        .where(is_open, Job.due_at > statement_moment(), Job.state == RUNNING)
        .distinct()
    )
    return {(task, queue) for task, queue in session.execute(statement)}


def storable(text: str) -> str:
    """Return `text` without what a database refuses, like a zero byte or half a character."""
    return text.replace("\0", "").encode(errors="replace").decode()[:ERROR_LENGTH]


def backoff(attempts: int, base: float, cap: float) -> float:
    """Return how many seconds to wait: exponential, with full jitter, at most `cap`."""
    return random.SystemRandom().uniform(0, min(cap, base * 2 ** (attempts - 1)))
