"""How a worker does jobs: claim, run, finish, and on to the next of the same kind."""

import inspect
import json
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Protocol

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]
from celery.exceptions import WorkerShutdown, WorkerTerminate
from flask import Flask, g
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core import traces
from app.extensions import db
from app.jobs import store
from app.jobs.arguments import UNREADABLE
from app.jobs.current import Cancelled, CurrentJob, LeaseLost, PermanentError
from app.jobs.heart import heart
from app.jobs.models import CANCELLED, HELD, ORDINARY
from app.jobs.relay import CROWDED
from app.jobs.store import Claimed

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 0.5  # after which a hint's worker turns to other queues
RECORD_SECONDS = 60.0  # how long to insist on recording what cannot be taken back


class Runnable(Protocol):
    """What the runner needs to know of a durable task."""

    lease: ClassVar[float | None]
    backoff_base: ClassVar[float]
    backoff_cap: ClassVar[float]
    permanent: ClassVar[tuple[type[Exception], ...]]
    after_handoff: ClassVar[Literal["again", "hold"]]
    run: Callable[..., Any]
    name: Any

    @property
    def flask_app(self) -> Flask:
        """The application the task belongs to."""
        ...

    def signature_of_run(self) -> inspect.Signature:
        """Return what the task's function takes."""
        ...


@dataclass(frozen=True)
class End:
    """How a job ends: one step on its row, and whether the work itself can still be undone."""

    step: Callable[..., bool]
    cannot_be_undone: bool = False


def drain(task: Runnable, hinted: str, queue: str, *, passed_on: bool = False) -> None:
    """Do the job `hinted`, then others of its task in `queue` that are due, for half a second.

    If there are more, another hint says so: this worker's time for them is over, other queues wait.
    A hint that was `passed_on` in this way stands for a worker, and leaves one at most; so does the
    one with which a sweep gives a task a worker. One that came with its job is one more each time,
    so it leaves none where many messages wait: the other tasks of the queue would wait behind ever
    more.
    """
    hinter = task.flask_app.extensions["hinter"]
    until = time.monotonic() + DRAIN_SECONDS
    lease = uuid.uuid4()

    def leads_on() -> bool:
        return passed_on or hinter.waiting(queue) < CROWDED

    job = _begin(task, hinted, queue, lease, leads_on)
    if job is None:
        return
    while job is not None:
        following = uuid.uuid4() if time.monotonic() < until else None
        job, lease = _do(task.flask_app, task, job, lease, following), following or lease
    if time.monotonic() >= until and leads_on():
        _pass_on(task, queue)


def _begin(
    task: Runnable, hinted: str, queue: str, lease: uuid.UUID, leads_on: Callable[[], bool]
) -> Claimed | None:
    """Claim the job `hinted`, or the first that is due if it has a worker already.

    Workers that turn to other queues at once pass on the same job, and what they pass on is often
    done before its hint arrives. If such hints led nowhere, one worker after the other would fall
    idle before the work is done.
    """
    with task.flask_app.app_context():
        session = db.session()
        job = store.claim(session, lease, _seconds(task), uuid.UUID(hinted))
        session.commit()
        if job is None and leads_on():
            job = store.claim_next(session, lease, _seconds(task), task.name, queue)
            session.commit()
        return job


def _pass_on(task: Runnable, queue: str) -> None:
    """Hint the next job of this kind, if one is due.

    With its priority, but not before the ordinary: Valkey looks at that before it looks at queues.
    """
    with task.flask_app.app_context():
        waiting = store.next_due(db.session(), task.name, queue)
        db.session.commit()
    if waiting:
        job_id, priority = waiting
        hinter = task.flask_app.extensions["hinter"]
        hinter.hint(str(job_id), task.name, queue, max(priority, ORDINARY), passed_on=True)


def _seconds(task: Runnable) -> float:
    """Return how long the lease of a job of `task` is without a sign of life."""
    return task.lease or task.flask_app.config["JOBS_LEASE"]


def _do(
    app: Flask, task: Runnable, job: Claimed, lease: uuid.UUID, following: uuid.UUID | None
) -> Claimed | None:
    """Do `job`; return the next one, claimed with `following` in the transaction that ends this."""
    with app.app_context(), heart.keeps(app, job.id, lease, _seconds(task)):
        g.request_id = job.request_id
        g.task_id = str(job.id)
        g.job = current = CurrentJob(job, lease, _seconds(task))
        try:
            with traces.continued(job.trace, job.task):
                end = _run(task, job, lease, current)
                return _record(task, job, lease, end, following, current)
        except LeaseLost:
            db.session.rollback()
            logger.warning("Job %s %s has another worker; this attempt is void", job.task, job.id)
            return None
        except (SystemExit, KeyboardInterrupt):
            _let_go(job, lease, current)
            raise


def _let_go(job: Claimed, lease: uuid.UUID, current: CurrentJob) -> None:
    """Let the job go because the process is told to end, so that another worker need not wait."""
    db.session.rollback()
    if current.receipt is None:
        store.release(db.session(), job.id, lease)
    else:
        store.succeed(db.session(), job.id, lease, None, current.receipt)
    db.session.commit()


def _is_told_to_end(error: BaseException) -> bool:
    """Tell whether somebody stops this process; a task may well call `sys.exit()` itself."""
    stops = (KeyboardInterrupt, WorkerShutdown, WorkerTerminate)
    return isinstance(error, stops) or terminate_handler_fired()


def _run(task: Runnable, job: Claimed, lease: uuid.UUID, current: CurrentJob) -> End:
    """Run the task in its session; return the step that ends the job."""
    try:
        if job.cancelling:
            raise Cancelled
        if current.handed_off_before and task.after_handoff == "hold":
            return End(partial(store.close, state=HELD, error=store.LOST_AFTER_HANDOFF))
        result = task.run(*_fitting(task, job)["args"], **job.arguments["kwargs"])
        _check_result(result)
        db.session.flush()
        success = partial(store.succeed, result=result, receipt=current.receipt)
        return End(success, cannot_be_undone=current.receipt is not None)
    except LeaseLost:
        raise
    except Cancelled as error:
        db.session.rollback()
        reason = str(error) or "Stopped on request."
        return End(partial(store.close, state=CANCELLED, error=reason))
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if not isinstance(error, Exception) and _is_told_to_end(error):
            raise
        db.session.rollback()
        return _after_error(task, job, current, error)


def _after_error(task: Runnable, job: Claimed, current: CurrentJob, error: BaseException) -> End:
    """Return how a job ends whose run, or whose commit, raised `error`."""
    traces.note(error)
    if current.receipt is not None:
        logger.error("Job %s %s is done, but failed then", job.task, job.id, exc_info=error)
        success = partial(store.succeed, result=None, receipt=current.receipt)
        return End(success, cannot_be_undone=True)
    if current.handed_off and task.after_handoff == "hold":
        return End(partial(store.close, state=HELD, error=f"{store.LOST_AFTER_HANDOFF} {error}"))
    return _failure(task, job, error)


def _fitting(task: Runnable, job: Claimed) -> dict[str, Any]:
    """Return the arguments; raises PermanentError when the task takes others by now."""
    if UNREADABLE in job.arguments["kwargs"]:
        raise PermanentError(f"The arguments are {UNREADABLE}.")
    try:
        task.signature_of_run().bind(*job.arguments["args"], **job.arguments["kwargs"])
    except TypeError as error:
        raise PermanentError(f"The arguments do not fit the task as it is now: {error}.") from None
    return job.arguments


def _check_result(result: Any) -> None:
    """Refuse what the row cannot hold; raises PermanentError."""
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PermanentError(f"The task returned what is no JSON: {error}.") from None


def _failure(task: Runnable, job: Claimed, error: BaseException) -> End:
    """Return the step that lets the job try again, or buries it."""
    permanent = isinstance(error, (PermanentError, *task.permanent))
    said = str(error) if isinstance(error, PermanentError) else f"{type(error).__name__}: {error}"
    if permanent or job.attempts >= job.max_attempts:
        logger.error("Job %s %s is dead: %s", job.task, job.id, said, exc_info=error)
        return End(partial(store.fail, error=said, retry_in=None))
    retry_in = store.backoff(job.attempts, task.backoff_base, task.backoff_cap)
    logger.warning(
        "Job %s %s failed, attempt %d of %d, again in %.1f s: %s",
        *(job.task, job.id, job.attempts, job.max_attempts, retry_in, said),
    )
    return End(partial(store.fail, error=said, retry_in=retry_in))


def _record(  # noqa: PLR0913, PLR0917 - what is recorded, and by whom
    task: Runnable,
    job: Claimed,
    lease: uuid.UUID,
    end: End,
    following: uuid.UUID | None,
    current: CurrentJob,
) -> Claimed | None:
    """Commit how the job ended, together with the claim of the next one, which is returned.

    Raises LeaseLost when the job has another worker.
    """
    session = db.session()
    try:
        if not end.step(session, job.id, lease):
            raise LeaseLost
        claimed = None
        if following:
            seconds = _seconds(task)
            claimed = store.claim_next(session, following, seconds, job.task, job.queue)
        session.commit()
        return claimed
    except SQLAlchemyError as error:
        session.rollback()
        if end.cannot_be_undone:
            _insist(job, lease, end)
        else:
            _after_error(task, job, current, error).step(session, job.id, lease)
            session.commit()
        return None


def _insist(job: Claimed, lease: uuid.UUID, end: End) -> None:
    """Record an end that cannot be undone, however often the database fails for a minute."""
    until = time.monotonic() + RECORD_SECONDS
    while time.monotonic() < until:
        try:
            with Session(db.engine) as session:
                end.step(session, job.id, lease)
                session.commit()
                return
        except SQLAlchemyError as error:
            logger.warning("Job %s %s is done, recording it again: %s", job.task, job.id, error)
            time.sleep(0.2)
