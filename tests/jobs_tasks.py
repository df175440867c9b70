"""Durable tasks that only tests have."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from flask import g
from sqlalchemy import select

from app.extensions import db
from app.jobs.current import Cancelled, PermanentError, current_job
from app.jobs.models import Heartbeat
from app.jobs.task import DurableTask
from app.models import utcnow


def wait_for_file(path: str, seconds: float = 30.0) -> None:
    """Return once there is a file at `path`."""
    until = time.monotonic() + seconds
    while not Path(path).exists():
        if time.monotonic() > until:
            raise RuntimeError("nobody opened the gate")
        time.sleep(0.02)


def append(path: str, line: str) -> None:
    """Write a line that processes which write at once do not mix up."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


@shared_task
def leave_in_g(path: str) -> None:
    """Append what an earlier task left in `g`, and leave something there."""
    append(path, f"{os.getpid()} {g.get('left', 'nothing')}")
    g.left = "something"


@shared_task(base=DurableTask)
def leave_in_g_durably(path: str) -> None:
    """Do the same as a durable job."""
    leave_in_g.run(path)


@shared_task(base=DurableTask, backoff_base=0.01, backoff_cap=0.05)
def note(path: str, text: str = "done", secret: str = "") -> dict[str, str]:
    """Append `text` to the file at `path`."""
    append(path, text)
    return {"text": text}


@shared_task(base=DurableTask, secret_arguments=("secret",))
def keep_secret(name: str, secret: str) -> None:
    """Take something that nobody may see."""


@shared_task(base=DurableTask, backoff_base=0.01, backoff_cap=0.05)
def write_row(name: str, fail: bool = False) -> None:
    """Write a row, and fail after it if told so."""
    db.session.add(Heartbeat(name=name, beaten_at=utcnow()))
    db.session.flush()
    if fail:
        raise PermanentError("told to fail")


@shared_task(base=DurableTask, max_attempts=3, backoff_base=0.01, backoff_cap=0.05)
def fail_always(path: str) -> None:
    """Fail each time."""
    append(path, str(current_job.attempt))
    raise RuntimeError("soup is cold")


@shared_task(
    base=DurableTask, max_attempts=5, permanent=(LookupError,), backoff_base=0.01, backoff_cap=0.05
)
def fail_for_good(kind: str) -> None:
    """Fail in a way that trying again does not mend."""
    raise {"permanent": PermanentError("no such soup"), "named": KeyError("soup")}[kind]


@shared_task(base=DurableTask, max_attempts=9, backoff_base=0.01, backoff_cap=0.05)
def needs_file(path: str) -> None:
    """Fail for good until there is a file at `path`."""
    if not Path(path).exists():
        raise PermanentError("no file")


@shared_task(base=DurableTask)
def count_to_gate(gate: str) -> None:
    """Report progress until the gate opens; stop when cancelled."""
    for number in range(10_000):
        current_job.progress(number, 10_000, f"step {number}")
        if current_job.cancelled:
            raise Cancelled
        if Path(gate).exists():
            break
        time.sleep(0.005)
    current_job.progress(10_000, 10_000, "complete")


@shared_task(base=DurableTask)
def wait_at_gate(path: str, gate: str, name: str | None = None) -> None:
    """Say who runs, wait for the gate, then write a row if there is a `name`."""
    append(path, f"{os.getpid()} {current_job.attempt}")
    wait_for_file(gate)
    if name:
        db.session.add(Heartbeat(name=name, beaten_at=utcnow()))


@shared_task(base=DurableTask, max_attempts=3, backoff_base=0.01, backoff_cap=0.05)
def kill_worker(path: str) -> None:
    """Kill the worker's child that runs this."""
    append(path, str(current_job.attempt))
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(
    base=DurableTask, after_handoff="hold", max_attempts=5, backoff_base=0.01, backoff_cap=0.05
)
def hand_off(path: str, how: str) -> None:
    """Do what cannot be taken back, then fail or die."""
    current_job.handoff()
    append(path, how)
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("after the hand-off")


@shared_task(base=DurableTask, max_attempts=4, backoff_base=0.01, backoff_cap=0.05)
def return_what_is_no_json() -> Any:
    """Return a set."""
    return {"soup"}


@shared_task(base=DurableTask)
def enqueue_another(path: str) -> None:
    """Enqueue a job in the transaction of this one."""
    note.delay_on_commit(path, "child")


@shared_task(base=DurableTask, job_queue="long")
def report() -> None:
    """Work for a moment."""
    time.sleep(0.01)


@shared_task(base=DurableTask)
def heartbeats() -> int:
    """Return how many rows there are."""
    return len(db.session.scalars(select(Heartbeat)).all())
