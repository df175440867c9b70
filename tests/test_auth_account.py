"""The profile, and the end of an account."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import Base, utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import Inbox, csrf_token, post, text_of
from tests.test_auth_password import grow_old

EMAIL = "ada@example.com"


@pytest.fixture
def member(app: Flask) -> FlaskClient:
    """Return a client that has signed in as ada@example.com."""
    add_user(app, EMAIL)
    client = app.test_client()
    sign_in(client, EMAIL)
    return client


def test_profile_keeps_name_and_colours(app: Flask, member: FlaskClient) -> None:
    assert "data-theme" not in member.get("/").text
    for theme in ("dark", "light"):
        answer = post(member, "/users/profile", display_name="  Ada & co ", theme=theme)
        assert answer.location == "/users/profile"
        page = member.get("/users/profile").text
        assert f'<html lang="en" data-theme="{theme}">' in page
        assert 'value="Ada &amp; co"' in page
    post(member, "/users/profile", display_name="", theme="system")
    assert "data-theme" not in member.get("/").text
    with app.app_context():
        assert user_of(EMAIL).display_name is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"display_name": "x" * 81, "theme": "dark"}, "Use at most 80 characters."),
        (
            {"display_name": "Ada\nBcc: eve", "theme": "dark"},
            "Please write this on one line, without control characters.",
        ),
        ({"display_name": "Ada", "theme": '"><script>'}, "Not a valid choice"),
    ],
)
def test_profile_refuses_bad_input(
    app: Flask, member: FlaskClient, fields: dict[str, str], words: str
) -> None:
    answer = post(member, "/users/profile", **fields)
    assert answer.status_code == 422
    assert words in answer.text
    with app.app_context():
        assert (user_of(EMAIL).display_name, user_of(EMAIL).theme) == (None, "system")


def test_account_page_leads_to_the_others(member: FlaskClient) -> None:
    page = member.get("/users/").text
    for path in ("profile", "sessions", "security-log", "export", "delete", "change", "passkeys"):
        assert f'href="/users/{path}"' in page
        assert member.get(f"/users/{path}").status_code == 200


@pytest.mark.parametrize("path", ["/users/profile", "/users/delete"])
def test_pages_of_the_account_are_for_members(client: FlaskClient, path: str) -> None:
    assert client.get(path).location.startswith("/users/login")
    answer = client.post(path, data={"csrf_token": csrf_token(client)})
    assert answer.location.startswith("/users/login")


def test_posting_needs_a_token(app: Flask, member: FlaskClient) -> None:
    for path in ("/users/profile", "/users/delete", "/users/delete/undo"):
        assert member.post(path, data={"password": PASSWORD}).status_code == 400
    with app.app_context():
        assert user_of(EMAIL).deletion_asked_at is None


def test_deletion_asks_whose_sign_in_is_old(app: Flask, member: FlaskClient) -> None:
    token = csrf_token(member, "/users/delete")
    grow_old(member)
    answer = member.post("/users/delete", data={"csrf_token": token})
    assert answer.location == "/users/verify?next=/users/delete"
    with app.app_context():
        assert user_of(EMAIL).deletion_asked_at is None
    assert post(member, answer.location, password=PASSWORD).location == "/users/delete"
    assert post(member, "/users/delete").location == "/users/login"
    with app.app_context():
        assert user_of(EMAIL).deletion_asked_at


def test_signing_in_within_a_week_offers_to_keep_the_account(
    app: Flask, member: FlaskClient
) -> None:
    other = app.test_client()
    sign_in(other, EMAIL, remember="y")
    assert post(member, "/users/delete").location == "/users/login"
    for client in (member, other):
        assert "You are signed in" not in client.get("/").text
    assert sign_in(member, EMAIL).location == "/"
    assert '<a href="/users/delete">Keep it after all?</a>' in member.get("/").text
    answer = post(member, "/users/delete/undo", form="/users/delete")
    assert answer.location == "/users/profile"
    with app.app_context():
        user_of(EMAIL).created_at = utcnow() - timedelta(days=30)
        db.session.commit()
        app.extensions["celery"].tasks["app.auth.tasks.clean_up"]()
        assert user_of(EMAIL).deletion_asked_at is None


def test_after_a_week_nothing_is_left(app: Flask, member: FlaskClient) -> None:
    add_user(app, "eve@example.com")
    sign_in(app.test_client(), EMAIL)  # a second device, so there is a mail about it
    app.test_cli_runner().invoke(args=["auth", "grant", EMAIL, "admin"])
    sign_in(member, EMAIL)
    post(member, "/users/delete")
    run = app.extensions["celery"].tasks["app.auth.tasks.clean_up"]
    with app.app_context():
        run()
        ada = user_of(EMAIL)
        number = ada.id
        ada.deletion_asked_at = utcnow() - timedelta(days=7, seconds=1)
        db.session.commit()
        assert db.session.scalars(select(Job).where(Job.owner == str(number))).all()
        run()
        assert db.session.scalars(select(User.email)).all() == ["eve@example.com"]
        assert db.session.scalars(select(Job.id)).all() == []
        for table in Base.metadata.sorted_tables:
            if "user_id" in table.columns:
                rows = select(func.count()).where(table.c.user_id == number)
                assert db.session.scalar(rows) == 0, table.name
    assert sign_in(member, EMAIL).status_code == 422


def test_forgotten_unconfirmed_accounts_leave_no_job(app: Flask, client: FlaskClient) -> None:
    post(client, "/users/register", email=EMAIL, password=PASSWORD)
    with app.app_context():
        user_of(EMAIL).created_at = utcnow() - timedelta(days=31)
        db.session.commit()
        assert db.session.scalars(select(Job.owner)).all() == [str(user_of(EMAIL).id)]
    app.test_cli_runner().invoke(args=["auth", "forget-unconfirmed"])
    with app.app_context():
        assert db.session.scalars(select(Job.id)).all() == []


def test_mail_says_when_and_how_to_keep_the_account(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, EMAIL)
    client = live_app.test_client()
    sign_in(client, EMAIL)
    post(client, "/users/delete")
    mail = inbox.wait_for(EMAIL)
    assert mail["Subject"] == "Your account will be deleted"
    assert f"{utcnow() + timedelta(days=7):%d %B %Y}" in text_of(mail)
    assert "/users/login" in text_of(mail)
    assert "at the address 127.0.0.1" in text_of(mail)
