"""`DurableTask`: a Celery task whose calls can be part of a transaction."""

import inspect
import json
import uuid
from datetime import datetime
from typing import Any, ClassVar, Literal

from flask import g, has_app_context
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from app.core import traces
from app.core.celery import FlaskTask
from app.extensions import db
from app.jobs import relay, runner
from app.jobs.arguments import Sealed
from app.jobs.current import CurrentJob
from app.jobs.models import ORDINARY, Job, moment

ARGUMENTS_SIZE = 64 * 1024  # bytes of JSON


class ArgumentsRefused(ValueError):
    """The arguments of a job cannot be stored: no JSON, too large, or not the task's own."""


class DurableTask(FlaskTask):
    """The base of tasks that are done once their caller's transaction is committed.

    `delay_on_commit()` adds a row to the session, nothing else: with the commit the job exists,
    without it there is none. `delay()` stays Celery's own: fast, and lost if the broker is.
    """

    abstract = True
    typing = False  # a hint carries no arguments
    acks_late = False  # the row is the truth; a hint may be lost

    job_queue: ClassVar[str] = "default"
    max_attempts: ClassVar[int] = 10
    lease: ClassVar[float | None] = None  # seconds; JOBS_LEASE of the configuration by default
    backoff_base: ClassVar[float] = 2.0  # seconds
    backoff_cap: ClassVar[float] = 600.0  # seconds
    permanent: ClassVar[tuple[type[Exception], ...]] = ()
    after_handoff: ClassVar[Literal["again", "hold"]] = "again"
    secret_arguments: ClassVar[tuple[str, ...]] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job a hint names, or the task itself when it was called in another way."""
        if has_app_context() and isinstance(g.get("job"), CurrentJob):
            return self.run(*args, **kwargs)  # a plain call within a job is part of that job
        if self.request.get("durable"):
            queue = self.request.get("job_queue") or self.job_queue
            passed_on = bool(self.request.get("passed_on"))
            return runner.drain(self, str(self.request.id), queue, passed_on=passed_on)
        return super().__call__(*args, **kwargs)

    def run_in_context(self, *args: Any, **kwargs: Any) -> Any:
        """Run without a job; as with one, what the task wrote is committed when it succeeds."""
        result = self.run(*args, **kwargs)
        db.session.commit()
        return result

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Job:
        """Add a job with these arguments to the session and return it."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(  # noqa: PLR0913 - the names Celery uses
        self,
        args: tuple[Any, ...] | list[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        countdown: float = 0.0,
        eta: datetime | None = None,
        queue: str | None = None,
        priority: int = ORDINARY,
        dedupe_key: str | None = None,
        owner: object = None,
    ) -> Job:
        """Add a job to the session and return it; with `dedupe_key`, the one that has it already.

        `countdown` is in seconds; `priority` goes from 0, the first, to 9. Raises ArgumentsRefused.
        """
        arguments = self.checked({"args": list(args), "kwargs": kwargs or {}})
        due = eta if eta is not None else moment(countdown)
        now = countdown <= 0 and eta is None
        values = {
            "id": uuid.uuid4(),
            "task": self.name,
            "queue": queue or self.job_queue,
            "priority": priority,
            "arguments": arguments,
            "dedupe_key": dedupe_key,
            "max_attempts": self.max_attempts,
            "holds": self.after_handoff == "hold",
            "due_at": due,
            # Its hint leaves right after the commit; if that fails, a sweep hints again.
            "hinted_at": moment() if now else None,
            "owner": None if owner is None else str(owner),
            "request_id": g.get("request_id") if has_app_context() else None,
            "trace": traces.carrier(),
        }
        job = self._insert_once(values) if dedupe_key else self._add(values)
        hint = (str(job.id), self.name, values["queue"], priority) if now else None
        relay.expect_commit(db.session(), self.name, hint)
        return job

    def _add(self, values: dict[str, Any]) -> Job:
        job = Job(**values)
        db.session.add(job)
        return job

    def _insert_once(self, values: dict[str, Any]) -> Job:
        dialect = {"postgresql": postgresql, "sqlite": sqlite}[db.engine.dialect.name]
        statement = (
            dialect.insert(Job)
            .values(**values)
            .on_conflict_do_nothing(index_elements=["dedupe_key"])
        )
        db.session.execute(statement)
        return db.session.scalars(select(Job).where(Job.dedupe_key == values["dedupe_key"])).one()

    def checked(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return `arguments` as they will be read back; raises ArgumentsRefused."""
        try:
            text = json.dumps(arguments, allow_nan=False)
            self.signature_of_run().bind(*arguments["args"], **arguments["kwargs"])
        except (TypeError, ValueError) as error:
            raise ArgumentsRefused(f"{self.name} cannot be enqueued: {error}.") from None
        if len(text.encode()) > ARGUMENTS_SIZE:
            raise ArgumentsRefused(
                f"{self.name} cannot be enqueued: its arguments are {len(text.encode())} bytes "
                f"of JSON, and {ARGUMENTS_SIZE} is the limit. Store the data and pass its id."
            )
        read = json.loads(text)
        return Sealed(read) if self.secret_arguments else read

    def signature_of_run(self) -> inspect.Signature:
        """Return what the task's function takes."""
        return inspect.signature(self.run)
