"""The sweep: every worker looks every few seconds for jobs nobody was told about.

It runs as a small task on a queue of its own, so that a backlog does not delay it; a timer in each
worker sends it there, and beat does too, though nothing depends on beat.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery import Task, bootsteps, shared_task
from celery.schedules import crontab
from flask import Flask, current_app
from sqlalchemy.dialects import postgresql, sqlite

from app.core.errors import DATABASE_DOWN
from app.extensions import db
from app.jobs import store
from app.jobs.models import Heartbeat, moment
from app.jobs.relay import CROWDED, ENOUGH, FULL, Hinter

logger = logging.getLogger(__name__)

BATCH = 200  # rows a sweep hints at most
BACK = timedelta(days=7)  # how far back ticks are made up for
QUEUE = "sweep"
TASK = "app.jobs.sweep.sweep"
SIGN = "worker-works"  # a file in the instance folder; scripts/healthcheck.py reads its time
BEAT = {TASK: {"task": TASK, "schedule": 30.0, "options": {"queue": QUEUE, "expires": 30.0}}}


@shared_task(bind=True, ignore_result=True, acks_late=False)
def sweep(self: Task) -> None:
    """Bury what no worker survived, plant what the schedule says, hint what is due."""
    try:
        if self.request.get("celery_beat_task"):
            beat("beat")  # for `flask doctor`: whoever asks may be on another host than beat
        look()
    except DATABASE_DOWN as error:
        # Every few seconds, in every worker: one line is enough, and there is nothing to undo.
        db.session.rollback()
        reason = str(error).partition("\n")[0]
        logger.warning("The database does not answer, the next sweep asks again: %s", reason)


def look() -> None:
    """Do what `sweep` promises; raises what the database raises."""
    session = db.session()
    buried = store.bury_lost(session)
    if buried:
        logger.error("%d jobs are dead: each of their attempts lost its worker", buried)
    beat("sweep")
    session.commit()
    lonely = store.unhinted(session, current_app.config["JOBS_HINT_AGAIN"], BATCH)
    session.commit()
    hint(current_app.extensions["hinter"], lonely)
    plant(current_app)  # type: ignore[arg-type]
    session.commit()


def hint(hinter: Hinter, lonely: Sequence[tuple[uuid.UUID, str, str, int]]) -> None:
    """Hint a few jobs of each kind, which lead workers to the others.

    A queue that nobody takes from, or not fast enough, is left alone: it must not fill the broker.
    In one that is crowded, a kind that no worker is at gets a hint that stands for a worker.
    """
    kinds: Counter[tuple[str, str]] = Counter()
    waiting = {queue: hinter.waiting(queue) for queue in {queue for _, _, queue, _ in lonely}}
    crowded = {queue for queue, count in waiting.items() if count >= CROWDED}
    at_work = store.at_work(db.session()) if crowded else set()
    db.session.commit()
    for job_id, task, queue, priority in lonely:
        kinds[task, queue] += 1
        if kinds[task, queue] > room(waiting[queue]):
            continue
        stands = queue in crowded and (task, queue) not in at_work
        if not hinter.hint(str(job_id), task, queue, priority, passed_on=stands):
            return


def room(waiting: int) -> int:
    """Return how many hints for one kind of job go to a queue in which so many messages wait."""
    if waiting >= FULL:
        return 0
    return ENOUGH if waiting < CROWDED else 1


def beat(name: str) -> datetime | None:
    """Note that `name` was seen to now; return when it was before, None for the first time."""
    before = db.session.get(Heartbeat, name)
    dialect = {"postgresql": postgresql, "sqlite": sqlite}[db.engine.dialect.name]
    statement = dialect.insert(Heartbeat).values(name=name, beaten_at=moment())
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"beaten_at": moment()})
    )
    return before.beaten_at if before else None


def plant(app: Flask) -> None:
    """Enqueue each tick of the schedule since the last sweep, once, however many sweeps look."""
    since = beat("schedule")
    now = db.session.scalar(moment().select())
    if since is None or now is None:
        return
    minute = max(since, now - BACK).replace(second=0, microsecond=0) + timedelta(minutes=1)
    celery = app.extensions["celery"]
    schedule = {task: crontab(**fields) for task, fields in app.config["SCHEDULE"].items()}
    while minute <= now:
        for task, fields in schedule.items():
            if ticks(fields, minute):
                key = f"schedule:{task}:{minute:%Y-%m-%dT%H:%M}"
                celery.tasks[task].apply_async_on_commit(dedupe_key=key)
        minute += timedelta(minutes=1)


def ticks(schedule: crontab, minute: datetime) -> bool:
    """Tell whether a line of a crontab names this minute."""
    fields = {
        "minute": minute.minute,
        "hour": minute.hour,
        "day_of_week": minute.isoweekday() % 7,
        "day_of_month": minute.day,
        "month_of_year": minute.month,
    }
    return all(value in getattr(schedule, name) for name, value in fields.items())


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Keep what Celery says of every single sweep out of the log, unless it is a warning."""
    return record.levelno > logging.INFO or TASK not in record.getMessage()


class Sweeper(bootsteps.StartStopStep):
    """The timer in each worker process."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        """Send a sweep now and then."""
        self._celery = parent.app
        self._sign = Path(parent.app.flask_app.instance_path) / SIGN
        self._state = parent.state
        self._taken = 0
        self._every = parent.app.flask_app.config["JOBS_SWEEP"]
        self._entry = parent.timer.call_repeatedly(self._every, self._tick)

    def stop(self, parent: Any) -> None:
        """Send no more."""
        self._entry.cancel()

    def _tick(self) -> None:
        hinter: Hinter = self._celery.flask_app.extensions["hinter"]
        hinter.send(TASK, QUEUE, expires=self._every * 2)
        self._show_work()

    def _show_work(self) -> None:
        """Touch a file if this worker took a task since, or is at one: a deaf one does neither.

        A sweep takes no time, so one that a worker is still at says nothing good of it.
        """
        taken = self._state.all_total_count[0]
        if taken > self._taken or any(one.name != TASK for one in self._state.active_requests):
            self._taken = taken
            with suppress(OSError):  # only containers need it, and they have the folder
                self._sign.touch()
