"""Guessing passwords: the waits, what is told and what is not, and the way out."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth import lockout
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import Inbox, post, text_of

EMAIL = "ada@example.com"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user."""
    return add_user(app, EMAIL)


def mails(app: Flask) -> list[str]:
    """Return the templates of the mails that were written."""
    with app.app_context():
        return [job.arguments["args"][1] for job in db.session.scalars(select(Job))]


def guess(client: FlaskClient, times: int) -> None:
    for _ in range(times):
        assert sign_in(client, EMAIL, "wrong password").status_code == 422


def end_the_wait(app: Flask) -> None:
    with app.app_context():
        user_of(EMAIL).locked_until = utcnow() - timedelta(seconds=1)
        db.session.commit()


def test_after_five_wrong_passwords_the_right_one_is_neither_accepted_nor_confirmed(
    app: Flask, client: FlaskClient, user: str
) -> None:
    guess(client, 5)
    token = re.compile(r'name="csrf_token"[^>]*value="[^"]+"')
    right, wrong = (
        token.sub("", sign_in(client, EMAIL, password).text) for password in (PASSWORD, "wrong one")
    )
    assert right == wrong
    assert "You are signed in" not in client.get("/").text
    assert mails(app) == ["auth/mail/locked"]


def test_four_wrong_passwords_are_forgotten_with_the_right_one(
    app: Flask, client: FlaskClient, user: str
) -> None:
    guess(client, 4)
    assert sign_in(client, EMAIL).status_code == 302
    with app.app_context():
        assert user_of(EMAIL).failed_sign_ins == 0
    assert mails(app) == []


def test_each_wrong_password_after_a_wait_doubles_it(
    app: Flask, client: FlaskClient, user: str
) -> None:
    guess(client, 5)
    waits = []
    for _ in range(3):
        end_the_wait(app)
        guess(client, 1)
        with app.app_context():
            until = user_of(EMAIL).locked_until
            assert until
            waits.append(round((until - utcnow()).total_seconds() / 60))
    assert waits == [2, 4, 8]
    assert mails(app) == ["auth/mail/locked"], "told once, however long it goes on"
    end_the_wait(app)
    assert sign_in(client, EMAIL).status_code == 302


def test_passwords_tried_during_a_wait_do_not_prolong_it(
    app: Flask, client: FlaskClient, user: str
) -> None:
    guess(client, 5)
    with app.app_context():
        before = user_of(EMAIL).locked_until
    guess(client, 3)
    with app.app_context():
        assert user_of(EMAIL).locked_until == before


def test_waits_have_an_end() -> None:
    assert lockout.wait_after(4) == timedelta(0)
    assert lockout.wait_after(5) == timedelta(minutes=1)
    assert lockout.wait_after(1000) == timedelta(hours=1)


def test_a_day_later_counting_starts_anew(app: Flask, client: FlaskClient, user: str) -> None:
    guess(client, 5)
    with app.app_context():
        user_of(EMAIL).locked_until = utcnow() - timedelta(days=2)
        db.session.commit()
    guess(client, 1)
    with app.app_context():
        assert user_of(EMAIL).failed_sign_ins == 1
    assert sign_in(client, EMAIL).status_code == 302


def test_whoever_never_confirmed_the_address_gets_no_mail(app: Flask, client: FlaskClient) -> None:
    add_user(app, EMAIL, confirmed=False)
    guess(client, 5)
    assert mails(app) == []


def test_a_new_password_by_mail_ends_the_wait(app: Flask, client: FlaskClient, user: str) -> None:
    guess(client, 5)
    post(client, "/users/reset", email=EMAIL)
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        link = jobs[-1].arguments["args"][2]["reset_link"]
    new = "another pot entirely"
    assert post(client, link, password=new, password_confirm=new).status_code == 302
    assert sign_in(client, EMAIL, new).status_code == 302


def test_command_ends_the_wait(app: Flask, client: FlaskClient, user: str) -> None:
    guess(client, 5)
    result = app.test_cli_runner().invoke(args=["auth", "unlock", "Ada@Example.com"])
    assert result.exit_code == 0, result.output
    assert sign_in(client, EMAIL).status_code == 302


def test_command_names_an_unknown_address(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["auth", "unlock", "eve@example.com"])
    assert result.exit_code == 1
    assert "Nobody has an account with the address eve@example.com." in result.output


def test_mail_says_when_and_from_where(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, EMAIL)
    client = live_app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"
    guess(client, 5)
    text = text_of(inbox.wait_for(EMAIL))
    assert "UTC" in text
    assert "From: Firefox on Linux, at the address 127.0.0.1" in text
    assert "If it was not you" in text
