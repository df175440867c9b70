"""Whatever happens to a worker, its broker or the mail server: nothing lost, nothing doubled."""

import os
import signal
import time
from pathlib import Path

import pytest

from app.extensions import db
from app.jobs import services
from app.jobs.models import DEAD, HELD, QUEUED, SUCCEEDED, Heartbeat, Job
from app.jobs.task import DurableTask
from tests import jobs_tasks
from tests.faults.harness import (
    CHANCE,
    COUNT,
    DEPLOYS,
    Stand,
    children_of,
    kill_a_child,
    on_each_database,
)
from tests.support import wait_until

STEPS = ["claim", "RCPT", "hand-off", "dot", "250", "before the commit"]


def now_and_then(number: int) -> bool:
    """Tell whether to break something before this mail: about five times for a load."""
    return number > 0 and CHANCE.randrange(COUNT // 5) == 0


def test_nothing_breaks(stand: Stand) -> None:
    stand.worker()
    stand.count(stand.enqueue(), "none")


def test_the_broker_is_down_when_enqueued(stand: Stand) -> None:
    stand.worker()
    stand.broker.down()
    try:
        load = stand.enqueue()
    finally:
        stand.broker.up()
    stand.count(load, "broker down when enqueued")


def test_the_broker_is_frozen_when_enqueued(stand: Stand) -> None:
    stand.worker()
    with stand.broker.frozen():
        load = stand.enqueue()
    stand.count(load, "broker frozen when enqueued")


def test_the_broker_is_wiped(stand: Stand) -> None:
    stand.stop_workers()
    load = stand.enqueue()
    stand.broker.wipe()
    stand.worker()
    stand.count(load, "broker wiped with jobs queued")
    load = stand.enqueue(during=lambda n: now_and_then(n) and stand.broker.wipe())
    stand.count(load, "broker wiped under load")


def test_children_are_killed(stand: Stand) -> None:
    worker = stand.worker()
    kills: list[int] = []

    def kill(number: int) -> None:
        if now_and_then(number):
            kills.append(number)
            kill_a_child(worker)

    load = stand.enqueue(during=kill)
    stand.count(load, "worker child killed", f"{len(kills)} kills", again=len(kills))


def test_whole_workers_are_killed(stand: Stand) -> None:
    stand.stop_workers()
    loads = []
    for _ in range(3):
        worker = stand.worker(another=True)
        load = stand.enqueue(COUNT // 3)
        wait_until(lambda load=load: stand.sink.copies(load.prefix), "a mail")
        worker.kill()
        loads.append(load)
    stand.worker()
    for load in loads:
        stand.count(load, "whole worker killed", "3 kills", again=2)
    assert stand.open_jobs() == 0


@on_each_database
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_at_a_step(stand: Stand, step: str, tmp_path: Path) -> None:
    stand.stop_workers()
    mark = tmp_path / "died"
    stand.worker(DIE_AT=step, DIE_MARK=str(mark))
    load = stand.enqueue(10)
    after_the_dot = STEPS.index(step) >= STEPS.index("dot")
    row = stand.count(load, f"killed at: {step}", again=1 if after_the_dot else 0)
    assert mark.exists()
    assert row.doubled == (1 if step in ("250", "before the commit") else row.doubled)


@on_each_database
def test_a_frozen_child_that_wakes_up_writes_nothing(stand: Stand, tmp_path: Path) -> None:
    worker = stand.worker()
    runs, gate = tmp_path / "runs", tmp_path / "gate"
    with stand.app.app_context():
        job = jobs_tasks.wait_at_gate.delay_on_commit(str(runs), str(gate), "written once")
        db.session.commit()
        job_id = job.id
    wait_until(lambda: runs.exists() and runs.read_text(), "the job runs")
    frozen = int(runs.read_text().split()[0])
    os.kill(frozen, signal.SIGSTOP)
    try:
        wait_until(lambda: len(runs.read_text().splitlines()) == 2, "another process has the job")
        gate.touch()
        wait_until(lambda: state_of(stand, job_id) == SUCCEEDED, "the job is done")
    finally:
        os.kill(frozen, signal.SIGCONT)
    worker.wait_for("has another worker; this attempt is void")
    with stand.app.app_context():
        job = db.session.get_one(Job, job_id)
        assert (job.state, job.attempts) == (SUCCEEDED, 2)
        assert db.session.get(Heartbeat, "written once")
    stand.count(stand.enqueue(), "frozen child woken after its lease", "it wrote nothing")


@on_each_database
@pytest.mark.parametrize("task", [jobs_tasks.hand_off, jobs_tasks.hand_off_once])
def test_what_a_lost_worker_had_handed_off_is_held(
    stand: Stand, tmp_path: Path, task: DurableTask
) -> None:
    stand.worker()
    sent = tmp_path / "sent"
    with stand.app.app_context():
        job = task.delay_on_commit(str(sent), "die")
        db.session.commit()
        job_id = job.id
    load = stand.enqueue()
    wait_until(lambda: state_of(stand, job_id) == HELD, "the job is held")
    assert sent.read_text().split() == ["die"]
    stand.count(load, "lost after a hand-off that is not done twice", "held", again=1)


def state_of(stand: Stand, job_id: object) -> str | None:
    with stand.app.app_context():
        job = db.session.get(Job, job_id)
        return job and job.state


@on_each_database
def test_a_task_that_kills_its_worker(stand: Stand, tmp_path: Path) -> None:
    stand.worker()
    runs = tmp_path / "runs"
    with stand.app.app_context():
        job = jobs_tasks.kill_worker.delay_on_commit(str(runs))
        db.session.commit()
        job_id = job.id
    load = stand.enqueue()
    wait_until(lambda: state_of(stand, job_id) == DEAD, "the poison is dead")
    assert len(runs.read_text().splitlines()) == 3
    stand.count(load, "a task kills its worker each time", "dead after its attempts", again=3)


def test_an_unknown_task_waits_for_a_worker_that_knows_it(stand: Stand, tmp_path: Path) -> None:
    stand.stop_workers()
    worker = stand.worker("celery_worker.celery")
    with stand.app.app_context():
        job = jobs_tasks.note.delay_on_commit(str(tmp_path / "notes"))
        db.session.commit()
        job_id = job.id
    worker.wait_for("Received unregistered task")
    with stand.app.app_context():
        job = db.session.get_one(Job, job_id)
        assert (job.state, job.attempts) == (QUEUED, 0)
    load = stand.enqueue(during=lambda number: number == 5 and stand.worker())
    wait_until(lambda: state_of(stand, job_id) == SUCCEEDED, "the job is done")
    stand.count(load, "unknown task", "parked, then done")


@on_each_database
def test_poison_arguments_are_dead_at_once(stand: Stand) -> None:
    stand.worker()
    with stand.app.app_context():
        job = jobs_tasks.note.delay_on_commit("x")
        job.arguments = {"args": [], "kwargs": {"no_such": 1}}
        db.session.commit()
        job_id = job.id
    load = stand.enqueue()
    wait_until(lambda: state_of(stand, job_id) == DEAD, "the job is dead")
    stand.count(load, "poison arguments", "dead at once")
    with stand.app.app_context():
        job = db.session.get_one(Job, job_id)
        assert job.attempts == 1
        assert "no longer" in str(job.error) or "do not fit" in str(job.error)


def test_every_hint_comes_five_times(stand: Stand) -> None:
    stand.worker()
    hinter = stand.app.extensions["hinter"]
    load = stand.enqueue()
    with stand.app.app_context():
        jobs = [(str(job.id), job.task, job.queue, job.priority) for job in services.newest()]
        for _ in range(5):
            for job in jobs:
                hinter.hint(*job)
    stand.count(load, "every hint five times")


def test_deploys_under_load(stand: Stand) -> None:
    stand.stop_workers()
    deploys: list[int] = []
    workers = [stand.worker(another=True)]

    def deploy(number: int) -> None:
        if number % (COUNT // DEPLOYS) == COUNT // DEPLOYS // 2:
            workers.append(stand.worker(another=True))
            assert workers.pop(0).stop(signal.SIGTERM, 60) == 0
            deploys.append(number)

    load = stand.enqueue(during=deploy)
    stand.count(load, "deploys by SIGTERM", f"{len(deploys)} deploys")


def test_beats_do_not_matter(stand: Stand, tmp_path: Path) -> None:
    stand.worker()
    stand.count(stand.enqueue(), "no beat")
    for number in range(2):
        schedule = str(tmp_path / f"schedule{number}")
        beat = ["celery", "-A", "celery_worker.celery", "beat", "--pidfile=", "-s", schedule]
        beat += ["--loglevel=info"]
        stand.start(*beat, ready="beat: Starting")
    stand.count(stand.enqueue(), "two beats")


@on_each_database
def test_the_mail_server_is_down(stand: Stand) -> None:
    stand.worker()
    stand.sink.down()
    try:
        load = stand.enqueue()
        wait_until(lambda: failures(stand) >= min(COUNT, 10), "attempts that failed")
    finally:
        stand.sink.up()
    stand.count(load, "SMTP down")


@on_each_database
def test_the_mail_server_restarts(stand: Stand) -> None:
    stand.worker()

    def restart(number: int) -> None:
        if now_and_then(number):
            stand.sink.down()
            stand.sink.up()

    stand.count(stand.enqueue(during=restart), "SMTP restarting", again=COUNT)


@on_each_database
@pytest.mark.parametrize(
    ("how", "fault", "again"),
    [
        ("hang", "SMTP hanging after the text", 0),
        ("drop", "SMTP drops before its 250", COUNT),
        ("drop250", "SMTP drops after its 250", 0),
    ],
)
def test_the_mail_server_fails(stand: Stand, how: str, fault: str, again: int) -> None:
    stand.worker()

    def break_it(number: int) -> None:
        if now_and_then(number):
            stand.sink.broken = how

    stand.count(stand.enqueue(during=break_it), fault, again=again)


def failures(stand: Stand) -> int:
    with stand.app.app_context():
        return sum(job.error is not None for job in services.newest(limit=COUNT))


@on_each_database
def test_a_kill_is_made_up_for_by_other_children(stand: Stand) -> None:
    worker = stand.worker()
    before = {child.pid for child in children_of(worker)}
    load = stand.enqueue(5)
    begun = time.monotonic()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    stand.drained()
    text = f"continues after {time.monotonic() - begun:.1f} s"
    stand.count(load, "both children killed at once", text, again=2)
