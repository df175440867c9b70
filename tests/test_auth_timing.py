"""Why answers take as long for an address with an account as for one without: they cost the same.

`benchmarks/timing.py` measures how long they take.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from argon2 import low_level
from flask import Flask
from sqlalchemy import event, select

from app.extensions import db
from app.jobs.models import SUCCEEDED, Job
from app.models import utcnow
from tests.auth_support import add_user, user_of
from tests.jobs_support import ended
from tests.support import Inbox, csrf_token, post

KINDS = ("member", "unconfirmed", "young", "closed", "locked", "no-password", "stranger")
# What each form costs, whoever has the address: password hashes, and jobs, which are mails.
FORMS = {
    "/users/login": ({"password": "not the password"}, 1, 0),
    "/users/register": ({"password": "one more pot of soup"}, 2, 1),
    "/users/reset": ({}, 1, 1),
    "/users/confirm": ({}, 0, 1),
}
# To note a wrong password is one statement, and to read the lock another; a new account is one to
# change what nobody confirmed, and one to add it. Each takes a small part of the time of a hash.
STATEMENTS_APART = 2


@pytest.fixture
def addresses(app: Flask) -> list[str]:
    """Return an address for each kind of account, the last without any."""
    addresses = [f"{kind}@example.com" for kind in KINDS]
    for kind, address in zip(KINDS[:-1], addresses, strict=False):
        add_user(app, address, confirmed=kind not in ("unconfirmed", "young"))
        with app.app_context():
            user = user_of(address)
            user.created_at = utcnow() - timedelta(seconds=0 if kind == "young" else 3600)
            user.active = kind != "closed"
            user.locked_until = utcnow() + timedelta(hours=1) if kind == "locked" else None
            user.password = None if kind == "no-password" else user.password
            db.session.commit()
    return addresses


@contextmanager
def counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Count hashes, statements and commits, which happen as ever."""
    counts = {"hashes": 0, "statements": 0, "commits": 0}

    def count(name: str, function: Any = None) -> Any:
        def counting(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return function(*args, **kwargs) if function else None

        return counting

    with app.app_context():
        engine = db.engine
    listeners = {"before_cursor_execute": count("statements"), "commit": count("commits")}
    with monkeypatch.context() as patch:
        for name in ("hash_secret", "verify_secret"):
            patch.setattr(low_level, name, count("hashes", getattr(low_level, name)))
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
        yield counts
        for name, listener in listeners.items():
            event.remove(engine, name, listener)


def jobs(app: Flask) -> int:
    with app.app_context():
        return len(db.session.scalars(select(Job.id)).all())


@pytest.mark.parametrize("path", FORMS)
def test_an_answer_costs_and_says_the_same_whoever_has_the_address(
    app: Flask, addresses: list[str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, hashes, mails = FORMS[path]
    costs, answers = [], set()
    for address in addresses:
        client, before = app.test_client(), jobs(app)
        data = {"email": address, "csrf_token": csrf_token(client, path), **fields}
        with counted(app, monkeypatch) as cost:
            answer = client.post(path, data=data)
        page = answer.text if answer.location is None else client.get(answer.location).text
        page = re.sub(r'name="csrf_token"[^>]*value="[^"]+"', "", page.replace(address, "ADDRESS"))
        answers.add((answer.status_code, answer.location, page))
        assert (cost["hashes"], jobs(app) - before) == (hashes, mails), address
        costs.append(cost)
    assert len(answers) == 1
    statements = [cost["statements"] for cost in costs]
    assert max(statements) - min(statements) <= STATEMENTS_APART, statements
    if path != "/users/login":
        assert len({cost["commits"] for cost in costs}) == 1, costs


@pytest.mark.parametrize("path", ["/users/reset", "/users/confirm"])
def test_the_job_for_nobody_is_done_and_sends_nothing(
    live_app: Flask, inbox: Inbox, path: str
) -> None:
    post(live_app.test_client(), path, email="stranger@example.com")
    with live_app.app_context():
        job = db.session.scalars(select(Job)).one()
    assert "stranger" not in str(job.arguments)
    assert ended(live_app, job.id).state == SUCCEEDED
    assert inbox.count == 0
