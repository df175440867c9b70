"""The security log, and the mail about a new device."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.history import SecurityEvent
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import Inbox, link_in, post, text_of
from tests.test_auth_address import change
from tests.test_auth_password import NEW

EMAIL = "ada@example.com"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user."""
    return add_user(app, EMAIL)


def mails(app: Flask) -> list[str]:
    with app.app_context():
        return [job.arguments["args"][1] for job in db.session.scalars(select(Job))]


def kinds(app: Flask) -> list[str]:
    with app.app_context():
        query = select(SecurityEvent.kind).order_by(SecurityEvent.id)
        return list(db.session.scalars(query))


def test_log_shows_sign_ins_and_changes_of_ones_own(app: Flask, user: str) -> None:
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/145.0"
    sign_in(client, EMAIL)
    page = client.get("/users/security-log").text
    assert "Signed in" in page
    assert "Firefox on Linux" in page
    app.test_cli_runner().invoke(args=["auth", "grant", EMAIL, "admin"])
    sign_in(client, EMAIL)
    page = client.get("/users/security-log").text
    assert "Role given" in page
    assert "An administrator" in page
    add_user(app, "eve@example.com")
    eve = app.test_client()
    sign_in(eve, "eve@example.com")
    assert "Role given" not in eve.get("/users/security-log").text


def test_log_is_for_members_only(client: FlaskClient) -> None:
    assert client.get("/users/security-log").location.startswith("/users/login")


def test_new_device_is_told_once_and_the_first_never(app: Flask, user: str) -> None:
    first, second = app.test_client(), app.test_client()
    sign_in(first, EMAIL)
    assert mails(app) == []
    sign_in(second, EMAIL)
    assert mails(app) == ["auth/mail/new_device"]
    for client in (first, second):
        post(client, "/users/logout", form="/")
        sign_in(client, EMAIL)
    assert mails(app) == ["auth/mail/new_device"]
    assert kinds(app) == ["signed_in"] * 4


def test_device_known_to_one_account_is_new_to_another(app: Flask, user: str) -> None:
    add_user(app, "eve@example.com")
    shared = app.test_client()
    sign_in(app.test_client(), EMAIL)
    sign_in(shared, "eve@example.com")
    post(shared, "/users/logout", form="/")
    sign_in(shared, EMAIL)
    assert mails(app) == ["auth/mail/new_device"]


@pytest.mark.parametrize("value", ["", "x" * 3000, "é"])
def test_strange_cookies_are_new_devices(app: Flask, user: str, value: str) -> None:
    sign_in(app.test_client(), EMAIL)
    client = app.test_client()
    client.set_cookie("device", value)
    assert sign_in(client, EMAIL).status_code == 302
    assert mails(app) == ["auth/mail/new_device"]


def test_cookie_is_not_in_the_database(app: Flask, user: str) -> None:
    client = app.test_client()
    response = sign_in(client, EMAIL)
    (cookie,) = [text for text in response.headers.getlist("Set-Cookie") if "device=" in text]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    kept = client.get_cookie("device")
    assert kept
    with app.app_context():
        assert db.session.scalars(select(SecurityEvent.device_key)).one() != kept.value


def test_waits_and_new_passwords_are_in_the_log(app: Flask, user: str) -> None:
    client = app.test_client()
    for _ in range(5):
        sign_in(client, EMAIL, "wrong password")
    post(client, "/users/reset", email=EMAIL)
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        link = jobs[-1].arguments["args"][2]["reset_link"]
    post(client, link, password="another pot entirely", password_confirm="another pot entirely")
    assert kinds(app) == ["locked", "password_changed"]


def test_staying_signed_in_after_a_change_is_no_sign_in(app: Flask, user: str) -> None:
    client = app.test_client()
    sign_in(client, EMAIL)
    change(app, client)
    passwords = {"new_password": NEW, "new_password_confirm": NEW}
    post(client, "/users/change", password=PASSWORD, **passwords)
    assert kinds(app) == ["signed_in", "email_changed", "password_changed"]


def test_old_lines_are_deleted(app: Flask, user: str) -> None:
    sign_in(app.test_client(), EMAIL)
    with app.app_context():
        event = SecurityEvent(user_id=user_of(EMAIL).id, kind="locked")
        event.created_at = utcnow().replace(year=2020)
        db.session.add(event)
        db.session.commit()
        app.extensions["celery"].tasks["app.auth.tasks.clean_up"]()
    assert kinds(app) == ["signed_in"]


def test_deleting_a_user_leaves_no_line(app: Flask, user: str) -> None:
    sign_in(app.test_client(), EMAIL)
    with app.app_context():
        db.session.delete(user_of(EMAIL))
        db.session.commit()
    assert kinds(app) == []


def test_mail_says_when_from_where_and_what_to_do(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, EMAIL)
    for _ in range(2):
        sign_in(live_app.test_client(), EMAIL, PASSWORD)
    mail = inbox.wait_for(EMAIL)
    assert mail["Subject"] == "New device signed in"
    assert "at the address 127.0.0.1" in text_of(mail)
    assert "If not, somebody knows your password" in text_of(mail)


def test_mails_about_a_new_password_say_when_and_from_where(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, EMAIL)
    client = live_app.test_client()
    post(client, "/users/reset", email=EMAIL)
    asked = inbox.wait_for(EMAIL)
    new = "another pot entirely"
    post(client, link_in(asked), password=new, password_confirm=new)
    for mail in (asked, inbox.wait_for(EMAIL, 2)):
        assert "When: " in text_of(mail)
        assert "at the address 127.0.0.1" in text_of(mail)
