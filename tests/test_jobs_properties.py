"""The life of a job's row holds its promises in whatever order its steps come."""

import uuid
from collections.abc import Callable

from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from app.extensions import db
from app.jobs import services, store
from app.jobs.models import CANCELLED, DEAD, OPEN, QUEUED, RUNNING, SUCCEEDED, Job, moment

LIMIT = 3
STALE_STEPS: list[Callable[[Session, uuid.UUID, uuid.UUID], bool]] = [
    lambda s, job, lease: store.extend(s, job, lease, 60),
    lambda s, job, lease: store.report(s, job, lease, 60, (1, 2, "half")),
    lambda s, job, lease: store.hand_off(s, job, lease, 60),
    lambda s, job, lease: store.succeed(s, job, lease, None, None),
    lambda s, job, lease: store.fail(s, job, lease, "late", 0.0),
    lambda s, job, lease: store.fail(s, job, lease, "late", None),
    lambda s, job, lease: store.close(s, job, lease, CANCELLED, "late"),
    store.release,
]


def machine_on(engine: Engine) -> type[RuleBasedStateMachine]:
    """Return the state machine with the rows on `engine`."""

    class Life(RuleBasedStateMachine):
        """One job, many workers; `owner` is the lease that counts, if there is one."""

        def __init__(self) -> None:
            super().__init__()
            self.session = Session(engine)
            self.session.execute(delete(Job))
            job = Job(task="t", queue="default", arguments={}, max_attempts=LIMIT, due_at=moment())
            self.session.add(job)
            self.session.commit()
            self.id = job.id
            self.owner: uuid.UUID | None = None
            self.stale: list[uuid.UUID] = [uuid.uuid4()]
            self.runs = 0
            self.over: str | None = None

        def teardown(self) -> None:
            self.session.close()

        @property
        def job(self) -> Job:
            self.session.commit()
            return self.session.get_one(Job, self.id, populate_existing=True)

        def end_ownership(self) -> None:
            if self.owner:
                self.stale.append(self.owner)
            self.owner = None

        @rule(by_hint=st.booleans())
        def claim(self, by_hint: bool) -> None:
            before = self.job
            attempts = before.attempts
            due = before.state in OPEN and not (before.state == RUNNING and not self.expired())
            may = due and before.attempts < LIMIT and not self.waits()
            lease = uuid.uuid4()
            if by_hint:
                claimed = store.claim(self.session, lease, 60, self.id)
            else:
                claimed = store.claim_next(self.session, lease, 60, "t", "default")
            self.session.commit()
            assert (claimed is not None) == may
            if claimed:
                assert self.over is None, "a job that is over ran again"
                assert claimed.attempts == attempts + 1
                self.end_ownership()
                self.owner = lease
            else:
                self.stale.append(lease)

        def expired(self) -> bool:
            due = select(Job.id).where(Job.id == self.id, Job.due_at <= moment())
            return self.session.scalar(due) is not None

        def waits(self) -> bool:
            return not self.expired()

        @rule(data=st.sampled_from(range(len(STALE_STEPS))), which=st.integers(0, 50))
        def step_with_a_stale_lease(self, data: int, which: int) -> None:
            before = {c.name: getattr(self.job, c.name) for c in Job.__table__.columns}
            stale = self.stale[which % len(self.stale)]
            assert STALE_STEPS[data](self.session, self.id, stale) is False
            after = {c.name: getattr(self.job, c.name) for c in Job.__table__.columns}
            assert before == after

        @precondition(lambda self: self.owner)
        @rule()
        def live(self) -> None:
            assert self.owner
            assert store.extend(self.session, self.id, self.owner, 60)
            assert store.report(self.session, self.id, self.owner, 60, (1, 3, None))

        @precondition(lambda self: self.owner)
        @rule()
        def succeed(self) -> None:
            assert self.owner
            assert store.succeed(self.session, self.id, self.owner, {"a": 1}, "250 OK")
            self.over = SUCCEEDED
            self.end_ownership()

        @precondition(lambda self: self.owner)
        @rule(wait=st.sampled_from([0.0, 60.0, None]))
        def fail(self, wait: float | None) -> None:
            assert self.owner
            wait = None if self.job.attempts >= LIMIT else wait
            cancelling = self.job.cancelling
            assert store.fail(self.session, self.id, self.owner, "no soup", wait)
            if wait is None or cancelling:
                self.over = DEAD if wait is None else CANCELLED
            self.end_ownership()

        @precondition(lambda self: self.owner)
        @rule()
        def release(self) -> None:
            assert self.owner
            assert store.release(self.session, self.id, self.owner)
            self.end_ownership()

        @rule()
        def time_passes(self) -> None:
            past = update(Job).where(Job.state.in_(OPEN)).values(due_at=moment(-1))
            self.session.execute(past)
            self.session.commit()

        @rule()
        def sweep(self) -> None:
            buried = store.bury_lost(self.session)
            if buried:
                self.over = DEAD
                self.end_ownership()
            due = self.job.state in OPEN and self.expired()
            found = store.unhinted(self.session, -1, 10)
            assert [row[0] for row in found] == ([self.id] if due else [])

        @rule()
        def cancel(self) -> None:
            idle = self.job.state == QUEUED or (self.job.state == RUNNING and self.expired())
            state = services.cancel(self.id)
            db.session.commit()
            if idle:
                self.over = CANCELLED
                self.end_ownership()
            assert state == self.job.state
            assert self.job.cancelling or self.job.state != RUNNING

        @invariant()
        def holds(self) -> None:
            job = self.job
            assert 0 <= job.attempts <= LIMIT
            assert (job.state == RUNNING) == (job.lease is not None)
            assert job.lease == self.owner
            assert (self.over is None) == (job.state in OPEN)
            assert self.over in (None, job.state)

    return Life


def test_the_row_keeps_its_promises(app: Flask) -> None:
    steps = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
        database=None,
    )
    with app.app_context():
        run_state_machine_as_test(machine_on(db.engine), settings=steps)
