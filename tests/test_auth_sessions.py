"""Sessions: where somebody is signed in, and how that ends."""

import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from app.auth.sessions import BrowserSession
from app.extensions import db
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import csrf_token, post
from tests.test_auth_two_factor import CODE, turn_on

EMAIL = "ada@example.com"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user."""
    return add_user(app, EMAIL)


def browser(app: Flask, agent: str = "Mozilla/5.0 (X11; Linux) Firefox/145.0", **fields: str):
    """Return a client that has signed in."""
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = agent
    assert sign_in(client, EMAIL, **fields).status_code == 302
    return client


def is_in(client: FlaskClient) -> bool:
    return "You are signed in as" in client.get("/").text


def sessions(app: Flask) -> list[BrowserSession]:
    with app.app_context():
        return list(db.session.scalars(select(BrowserSession).order_by(BrowserSession.created_at)))


def end(client: FlaskClient, session_id: uuid.UUID):
    return post(client, f"/users/sessions/{session_id}/end", form="/users/sessions")


def test_page_lists_devices_in_plain_words(app: Flask, user: str) -> None:
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
    browser(app, phone)
    page = browser(app).get("/users/sessions").text
    assert "Safari on an iPhone" in page
    assert "Firefox on Linux (this one)" in page
    assert page.count("Address 127.0.0.1") == 2


@pytest.mark.parametrize("remember", [{}, {"remember": "y"}])
def test_ended_session_is_out_at_its_next_request(
    app: Flask, user: str, remember: dict[str, str]
) -> None:
    other = browser(app, **remember)
    here = browser(app)
    assert is_in(other)
    assert end(here, sessions(app)[0].id).location == "/users/sessions"
    assert not is_in(other)
    assert is_in(here)
    other.delete_cookie("session")
    assert not is_in(other), "being remembered brings nothing back"


def test_remembered_browser_keeps_its_session(app: Flask, user: str) -> None:
    client = browser(app, remember="y")
    client.delete_cookie("session")
    assert is_in(client)
    assert len(sessions(app)) == 1


def test_signing_out_everywhere_ends_this_session_too(app: Flask, user: str) -> None:
    other, here = browser(app, remember="y"), browser(app, remember="y")
    answer = post(here, "/users/sessions/end-all", form="/users/sessions")
    assert answer.location == "/users/login"
    for client in (other, here):
        assert not is_in(client)
        client.delete_cookie("session")
        assert not is_in(client)
    assert sessions(app) == []
    assert is_in(browser(app))


def test_ending_this_session_signs_out(app: Flask, user: str) -> None:
    client = browser(app)
    assert end(client, sessions(app)[0].id).location == "/users/login"
    assert not is_in(client)
    assert sessions(app) == []


def test_copy_of_a_cookie_is_worth_nothing_after_signing_out(app: Flask, user: str) -> None:
    client = browser(app, remember="y")
    copies = {name: client.get_cookie(name) for name in ("session", "remember_token")}
    post(client, "/users/logout", form="/")
    for name, cookie in copies.items():
        assert cookie
        thief = app.test_client()
        thief.set_cookie(name, cookie.value)
        assert not is_in(thief)


@pytest.mark.parametrize("fields", [{}, {"remember": "y"}])
def test_copy_of_a_cookie_is_out_when_the_owner_confirms(
    app: Flask, user: str, fields: dict[str, str]
) -> None:
    client = browser(app, **fields)
    copies = {name: client.get_cookie(name) for name in ("session", "remember_token")}
    assert post(client, "/users/verify", password="not the password").status_code == 422
    kept = app.test_client()
    assert copies["session"]
    kept.set_cookie("session", copies["session"].value)
    assert is_in(kept), "nothing was confirmed"
    assert post(client, "/users/verify", password=PASSWORD).status_code == 302
    for name, cookie in copies.items():
        if cookie:
            thief = app.test_client()
            thief.set_cookie(name, cookie.value)
            assert not is_in(thief), name
    assert is_in(client)
    assert len(sessions(app)) == 1
    client.delete_cookie("session")
    assert is_in(client) == bool(fields), "as before"


def test_sessions_of_others_cannot_be_ended(app: Flask, user: str) -> None:
    browser(app)
    foreign = sessions(app)[0].id
    add_user(app, "eve@example.com")
    eve = app.test_client()
    sign_in(eve, "eve@example.com")
    assert end(eve, foreign).status_code == 404
    assert end(eve, uuid.uuid4()).status_code == 404
    assert len(sessions(app)) == 2


def test_ending_needs_a_token_and_a_sign_in(app: Flask, client: FlaskClient, user: str) -> None:
    member = browser(app)
    path = f"/users/sessions/{sessions(app)[0].id}/end"
    assert member.post(path).status_code == 400
    assert member.get(path).status_code == 405
    assert client.post(path, data={"csrf_token": csrf_token(client)}).status_code == 302
    assert client.get("/users/sessions").location.startswith("/users/login")
    assert len(sessions(app)) == 1


def test_identifier_and_csrf_token_change_at_sign_in(app: Flask, user: str) -> None:
    client = app.test_client()
    before = csrf_token(client)
    sign_in(client, EMAIL)
    first = sessions(app)[0].id
    answer = client.post("/users/logout", data={"csrf_token": before})
    assert answer.status_code == 400, "a token from before the sign-in"
    post(client, "/users/logout", form="/")
    sign_in(client, EMAIL)
    assert [row.id for row in sessions(app)] != [first]


@pytest.mark.parametrize(
    "key", ["", "1", EMAIL, "96b04902-f4b6-4b55-8cf7-58adc8bc7316", "x" * 3000]
)
def test_cookies_that_name_no_session_are_ignored(app: Flask, user: str, key: str) -> None:
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = key
    assert not is_in(client)


def test_new_identifier_of_the_user_ends_all_sessions(app: Flask, user: str) -> None:
    client = browser(app)
    with app.app_context():
        user_of(EMAIL).fs_uniquifier = "another"
        db.session.commit()
    assert not is_in(client)


def test_turning_two_factors_on_and_off_ends_all_other_sessions(app: Flask, user: str) -> None:
    here, there, elsewhere = browser(app), browser(app, remember="y"), app.test_client()
    phone, _ = turn_on(here)
    assert not is_in(there)
    assert is_in(here)
    sign_in(elsewhere, user)
    post(elsewhere, CODE, code=phone.now())
    assert is_in(elsewhere)
    post(here, "/users/two-factor/off", form="/users/two-factor")
    assert not is_in(elsewhere)
    assert "All other browsers are signed out." in here.get("/users/two-factor").text


def test_deactivated_user_is_out_at_the_next_request(app: Flask, user: str) -> None:
    client = browser(app)
    with app.app_context():
        user_of(EMAIL).active = False
        db.session.commit()
    assert not is_in(client)


def test_last_use_is_written_once_a_minute(app: Flask, user: str) -> None:
    client = browser(app)
    first = sessions(app)[0].last_seen_at
    client.get("/")
    assert sessions(app)[0].last_seen_at == first
    with app.app_context():
        row = db.session.scalars(select(BrowserSession)).one()
        row.last_seen_at = earlier = utcnow() - timedelta(minutes=2)
        db.session.commit()
    client.get("/")
    assert sessions(app)[0].last_seen_at > earlier


def test_unused_sessions_end_and_are_deleted(app: Flask, user: str) -> None:
    client = browser(app, remember="y")
    with app.app_context():
        db.session.scalars(select(BrowserSession)).one().last_seen_at = utcnow() - timedelta(31)
        db.session.commit()
    assert not is_in(client)
    fresh = browser(app)
    with app.app_context():
        app.extensions["celery"].tasks["app.auth.tasks.clean_up"]()
    assert len(sessions(app)) == 1
    assert is_in(fresh)


def test_signed_out_pages_ask_the_database_nothing(app: Flask, user: str) -> None:
    statements: list[str] = []
    client = app.test_client()
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    client.get("/")
    client.get("/users/login")
    assert statements == []


def test_signed_in_pages_ask_the_database_once(app: Flask, user: str) -> None:
    statements: list[str] = []
    client = browser(app)
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    client.get("/")
    assert len([text for text in statements if re.match("SELECT|UPDATE", text)]) == 1


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("", "An unknown browser"),
        ("<script>alert(1)</script>", "An unknown browser"),
    ],
)
def test_devices_in_plain_words(app: Flask, user: str, agent: str, words: str) -> None:
    browser(app, agent)
    assert [row.device for row in sessions(app)] == [words]
