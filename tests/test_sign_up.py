"""Signing up twice: at once, again, and for an address that somebody else has signed up before."""

import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_security import confirmable
from sqlalchemy import select, update

from app.auth import services
from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.support import Inbox, csrf_token, link_in, post

ADDRESS = "ada@example.com"
PASSWORD = "a stockpot full of soup"
THEIRS = "chosen by somebody else"


def sign_up(client: FlaskClient, password: str = PASSWORD) -> tuple[int, str, str]:
    """Sign up; return what the visitor sees: the status, where it leads, and the page there."""
    answer = post(client, "/users/register", email=ADDRESS, password=password)
    page = client.get(answer.location).text
    return answer.status_code, answer.location, without_token(page)


def without_token(page: str) -> str:
    return re.sub(r'name="csrf_token"[^>]*value="[^"]+"', "", page)


def sign_in(app: Flask, password: str) -> int:
    return post(app.test_client(), "/users/login", email=ADDRESS, password=password).status_code


def stored(app: Flask) -> tuple[int, list[str]]:
    """Return how many users there are, and the templates of the mails that are to be sent."""
    with app.app_context():
        users = db.session.scalars(select(User.id)).all()
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        return len(users), [job.arguments["args"][1] for job in jobs]


def an_hour_passes(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(User).values(created_at=utcnow() - timedelta(hours=1)))
        db.session.commit()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two requests reach the insert before either of them makes it."""
    barrier = threading.Barrier(2)
    waited = threading.local()
    create: Callable[..., Any] = services.Accounts.create_user

    def create_together(self: services.Accounts, **kwargs: Any) -> Any:
        if not hasattr(waited, "once"):
            waited.once = True
            barrier.wait(10)
        return create(self, **kwargs)

    monkeypatch.setattr(services.Accounts, "create_user", create_together)


@pytest.mark.parametrize("passwords", [(PASSWORD, PASSWORD), (PASSWORD, THEIRS)])
def test_two_sign_ups_at_once_are_answered_alike(
    app: Flask, at_once: None, passwords: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    clients = [app.test_client(), app.test_client()]
    for client in clients:
        csrf_token(client)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(sign_up, clients, passwords))
    assert answers[0] == answers[1]
    assert answers[0][:2] == (302, "/")
    assert answers[0][2].count(f"sent a mail to {ADDRESS}") == 1
    users, mails = stored(app)
    assert (users, len(mails)) == (1, 2)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_double_click_leaves_both_links_good(live_app: Flask, inbox: Inbox) -> None:
    client = live_app.test_client()
    assert sign_up(client) == sign_up(client)
    inbox.wait_for(ADDRESS, 2)
    links = {link_in(mail) for mail in inbox.to(ADDRESS)}
    first = links.pop()
    assert client.get(first).location == "/users/login"
    assert sign_in(live_app, PASSWORD) == 302


@pytest.mark.parametrize("later", [False, True])
def test_nobody_can_choose_the_password_of_somebody_else_beforehand(
    live_app: Flask, inbox: Inbox, later: bool
) -> None:
    answer = sign_up(live_app.test_client(), THEIRS)
    their_link = link_in(inbox.wait_for(ADDRESS))
    if later:
        an_hour_passes(live_app)
    client = live_app.test_client()
    assert sign_up(client) == answer
    own_link = link_in(inbox.wait_for(ADDRESS, 2))
    assert client.get(their_link).location == "/users/confirm", "the earlier link is void"
    assert sign_in(live_app, PASSWORD) == 422, "not confirmed yet"
    assert client.get(own_link).location == "/users/login"
    assert sign_in(live_app, THEIRS) == 422
    assert sign_in(live_app, PASSWORD) == 302
    assert stored(live_app)[0] == 1


def test_signing_up_again_changes_nothing_once_the_address_is_confirmed(app: Flask) -> None:
    sign_up(app.test_client())
    with app.app_context():
        db.session.execute(update(User).values(confirmed_at=utcnow()))
        db.session.commit()
    sign_up(app.test_client(), THEIRS)
    assert stored(app) == (1, ["auth/mail/welcome", "auth/mail/already_registered"])
    assert sign_in(app, THEIRS) == 422
    assert sign_in(app, PASSWORD) == 302


def test_an_address_confirmed_meanwhile_keeps_its_password(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up(app.test_client())
    create: Callable[..., Any] = services.Accounts.create_user

    def confirm_first(self: services.Accounts, **kwargs: Any) -> Any:
        with db.engine.begin() as connection:
            connection.execute(update(User).values(confirmed_at=utcnow()))
        return create(self, **kwargs)

    monkeypatch.setattr(services.Accounts, "create_user", confirm_first)
    sign_up(app.test_client(), THEIRS)
    assert sign_in(app, THEIRS) == 422
    assert sign_in(app, PASSWORD) == 302


def test_a_link_confirms_no_password_that_was_set_at_the_same_moment(
    live_app: Flask, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = live_app.test_client()
    sign_up(client)
    confirm = confirmable.confirm_user

    def begin_anew_first(user: User) -> bool:
        with db.engine.begin() as connection:
            connection.execute(update(User).values(fs_uniquifier="another"))
        return confirm(user)

    monkeypatch.setattr("flask_security.views.confirm_user", begin_anew_first)
    assert client.get(link_in(inbox.wait_for(ADDRESS))).status_code == 409
    assert sign_in(live_app, PASSWORD) == 422


def test_a_bad_password_is_explained_for_an_unconfirmed_address_too(app: Flask) -> None:
    sign_up(app.test_client())
    answer = post(app.test_client(), "/users/register", email=ADDRESS, password="short")
    assert answer.status_code == 422
    assert "Use at least 8 characters." in answer.text
    assert sign_in(app, PASSWORD) == 422
