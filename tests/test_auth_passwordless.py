"""Accounts without a password: whoever signs in with a passkey can do everything else too."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.models import Passkey
from app.extensions import db
from app.jobs.models import Job
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import csrf_token, post
from tests.test_auth_passkeys import SIGN_IN, VERIFY, Device, add, send, start
from tests.test_auth_password import NEW, grow_old, is_in
from tests.test_auth_two_factor import turn_on

EMAIL = "ada@example.com"
SET_BY_MAIL = '<a href="/users/reset">Set a password by mail</a>'


def confirm(client: FlaskClient, device: Device, path: str) -> None:
    """Confirm with the passkey, on the way to `path`."""
    answer = client.get(path)
    assert answer.location == f"/users/verify?next={path}"
    page = client.get(answer.location).text
    assert 'type="password"' not in page
    assert f'href="{VERIFY}?next={path}"' in page
    action, options = start(client, f"{VERIFY}?next={path}")
    assert send(client, action, device.get(options)).location == path


@pytest.fixture
def device(app: Flask) -> Device:
    """Return a device with a passkey of ada@example.com, who has no password."""
    client = app.test_client()
    sign_in(client, add_user(app, EMAIL))
    device = add(client)
    with app.app_context():
        user_of(EMAIL).password = None
        db.session.commit()
    return device


@pytest.fixture
def member(app: Flask, device: Device) -> FlaskClient:
    """Return a client that has signed in with the passkey, a while ago."""
    client = app.test_client()
    action, options = start(client, SIGN_IN)
    assert send(client, action, device.get(options)).status_code == 302
    grow_old(client)
    return client


def test_every_sensitive_step_takes_the_passkey(
    app: Flask, member: FlaskClient, device: Device
) -> None:
    for path in ("change", "change-email", "two-factor", "passkeys", "export", "delete"):
        confirm(member, device, f"/users/{path}")
        assert member.get(f"/users/{path}").status_code == 200
        grow_old(member)
    confirm(member, device, "/users/two-factor")
    turn_on(member)
    answer = post(member, "/users/change-email", email="new@example.com")
    assert "We have sent a mail to new@example.com" in answer.text
    assert post(member, "/users/export").location == "/users/export"
    assert post(member, "/users/delete").location == "/users/login"
    assert not is_in(member)
    with app.app_context():
        assert user_of(EMAIL).deletion_asked_at


def test_a_first_password_needs_no_other(app: Flask, member: FlaskClient, device: Device) -> None:
    confirm(member, device, "/users/change")
    answer = post(member, "/users/change", new_password=NEW, new_password_confirm=NEW)
    assert answer.location == "/users/"
    assert sign_in(app.test_client(), EMAIL, NEW).status_code == 302


def test_a_first_password_does_not_wait_for_guesses_of_strangers(
    app: Flask, member: FlaskClient, device: Device
) -> None:
    confirm(member, device, "/users/change")
    for _ in range(5):
        sign_in(app.test_client(), EMAIL, "wrong password")
    answer = post(member, "/users/change", new_password=NEW, new_password_confirm=NEW)
    assert answer.location == "/users/"


def test_sessions_end_without_a_password(app: Flask, member: FlaskClient) -> None:
    page = member.get("/users/sessions").text
    for path in re.findall(r'action="(/users/sessions/[0-9a-f-]+/end)"', page):
        token = csrf_token(member, "/users/sessions")
        assert member.post(path, data={"csrf_token": token}).status_code == 302
        if not is_in(member):
            break
    assert not is_in(member)


def test_without_passkey_and_password_a_mail_is_the_way_out(
    app: Flask, member: FlaskClient
) -> None:
    with app.app_context():
        db.session.delete(db.session.scalars(select(Passkey)).one())
        db.session.commit()
    page = member.get(member.get("/users/delete").location).text
    assert SET_BY_MAIL in page
    assert VERIFY not in page
    post(member, "/users/reset", email=EMAIL)
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        link = jobs[-1].arguments["args"][2]["reset_link"]
    assert post(member, link, password=NEW, password_confirm=NEW).location == "/users/login"
    assert sign_in(member, EMAIL, NEW).status_code == 302
    assert member.get("/users/delete").status_code == 200


def test_no_password_is_the_right_one_where_there_is_none(member: FlaskClient) -> None:
    for password in ("", PASSWORD, "None"):
        answer = post(member, "/users/verify", form="/users/profile", password=password)
        assert answer.status_code == 422
    assert member.get("/users/delete").location.startswith("/users/verify")
