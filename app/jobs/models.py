"""The row that is a durable job, and the heartbeats of those who look after the rows."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text, Uuid, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import ColumnElement, literal
from sqlalchemy.sql.functions import GenericFunction

from app.jobs.arguments import Arguments
from app.models import Base, UTCDateTime

QUEUED, RUNNING = "queued", "running"
SUCCEEDED, DEAD, HELD, CANCELLED = "succeeded", "dead", "held", "cancelled"
OPEN = (QUEUED, RUNNING)
CLOSED = (SUCCEEDED, DEAD, HELD, CANCELLED)
ORDINARY = 5  # the priority of a job, unless its caller gives another


class moment(GenericFunction[datetime]):
    """The database's own clock, `seconds` from now: hosts whose clocks differ agree on it."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, seconds: float | ColumnElement[Any] = 0.0) -> None:
        """Say how far from now, in seconds."""
        parameter = isinstance(seconds, ColumnElement)
        super().__init__(seconds if parameter else literal(float(seconds)))


@compiles(moment, "postgresql")
def _moment_on_postgresql(element: moment, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(moment, "sqlite")
def _moment_on_sqlite(element: moment, compiler: Any, **options: Any) -> str:
    """Write it as SQLAlchemy stores moments, so that texts compare as moments do."""
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {seconds}))"


class statement_moment(GenericFunction[datetime]):
    """The database's clock when the statement began.

    That is constant for the statement, so that an index can be searched for what is due by now.
    """

    type = UTCDateTime()
    inherit_cache = True


@compiles(statement_moment, "postgresql")
def _statement_moment_on_postgresql(*_: Any, **__: Any) -> str:
    return "statement_timestamp()"


@compiles(statement_moment, "sqlite")
def _statement_moment_on_sqlite(*_: Any, **__: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


class Job(Base):
    """Work that a committed transaction promised.

    A row in the state `queued` or `running` is open, and due when `due_at` has passed: a queued
    row may be claimed then, and a running one has lost its worker, for while a job runs `due_at`
    is the end of its lease.
    """

    __tablename__ = "jobs"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    task: Mapped[str] = mapped_column(String(255))
    queue: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(default=ORDINARY)  # 0 is first, 9 is last
    arguments: Mapped[dict[str, Any]] = mapped_column(Arguments)
    dedupe_key: Mapped[str | None] = mapped_column(String(255), unique=True)
    state: Mapped[str] = mapped_column(String(16), default=QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    hinted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handoff_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    holds: Mapped[bool] = mapped_column(default=False)  # if its worker is lost after the hand-off
    lease: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    cancelling: Mapped[bool] = mapped_column(default=False)
    done: Mapped[int | None]
    total: Mapped[int | None]
    note: Mapped[str | None] = mapped_column(String(255))
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), nullable=True)
    receipt: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(String(64), index=True)
    request_id: Mapped[str | None] = mapped_column(String(64))
    trace: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True), nullable=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=func.moment())
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


# Claims and sweeps look at open rows alone; finished ones, however many, cost them nothing.
# Written out, not bound: a database uses a partial index only where it sees its very condition.
is_open: ColumnElement[bool] = Job.state.in_([literal_column(f"'{state}'") for state in OPEN])
Index(
    "ix_jobs_open",
    Job.due_at,
    sqlite_where=is_open,
    postgresql_where=is_open,
)
Index(
    "ix_jobs_open_task",
    Job.task,
    Job.queue,
    Job.priority,
    Job.due_at,
    sqlite_where=is_open,
    postgresql_where=is_open,
)
Index(
    "ix_jobs_finished",
    Job.finished_at,
    sqlite_where=~is_open,
    postgresql_where=~is_open,
)
# Few, and kept for long: who counts them need not look at all the others.
is_buried: ColumnElement[bool] = Job.state.in_(
    [literal_column(f"'{state}'") for state in (DEAD, HELD)]
)
Index(
    "ix_jobs_buried",
    Job.task,
    Job.state,
    sqlite_where=is_buried,
    postgresql_where=is_buried,
)


class Heartbeat(Base):
    """When something that runs by itself was last seen to: the sweep, the schedule."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(UTCDateTime)
