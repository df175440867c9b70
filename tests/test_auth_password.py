"""Changing the password, and steps that ask for it again."""

import time
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.extensions import db
from app.jobs.models import Job
from tests.auth_support import user_of
from tests.support import Inbox, csrf_token, post, text_of
from tests.test_auth import PASSWORD, add_user, sign_in

NEW = "another pot entirely"
FIELDS = {"password": PASSWORD, "new_password": NEW, "new_password_confirm": NEW}


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user whose password is PASSWORD."""
    return add_user(app, "ada@example.com")


def grow_old(client: FlaskClient, minutes: float = 11) -> None:
    """Let the sign-in of `client` be older than it is."""
    with client.session_transaction() as session:
        session["fs_paa"] = time.time() - minutes * 60


def is_in(client: FlaskClient) -> bool:
    return "You are signed in" in client.get("/").text


def test_a_new_password_ends_all_other_sessions(live_app: Flask, inbox: Inbox) -> None:
    email = add_user(live_app, "ada@example.com")
    here, there, remembered = (live_app.test_client() for _ in range(3))
    sign_in(here, email)
    sign_in(there, email)
    sign_in(remembered, email, remember="y")
    remembered.delete_cookie("session")

    answer = post(here, "/users/change", **FIELDS)
    assert answer.location == "/users/"
    page = here.get("/users/").text
    assert "Your new password is set, and all other browsers are signed out." in page
    assert is_in(here)
    assert not is_in(there)
    assert not is_in(remembered)
    assert sign_in(there, email).status_code == 422, "the old password"
    assert sign_in(there, email, NEW).status_code == 302

    mail = inbox.wait_for_subject(email, "Your password was changed")
    assert "at the address 127.0.0.1" in text_of(mail)
    assert "If it was you, there is nothing to do." in text_of(mail)


def changes_told(app: Flask) -> bool:
    """Tell whether a mail about a new password was written."""
    with app.app_context():
        jobs = db.session.scalars(select(Job)).all()
        return any(job.arguments["args"][1] == "auth/mail/new_password" for job in jobs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": ""}, "Write a password."),
        ({"password": "not the password"}, "This is not your password."),
        ({"new_password": "short", "new_password_confirm": "short"}, "Use at least 8 characters."),
        ({"new_password": "p" * 129, "new_password_confirm": "p" * 129}, "Use at most 128"),
        ({"new_password_confirm": "something else"}, "The two passwords differ."),
        ({"new_password": PASSWORD, "new_password_confirm": PASSWORD}, "Choose a password other"),
    ],
)
def test_bad_changes_are_explained_and_change_nothing(
    app: Flask, client: FlaskClient, user: str, changes: dict[str, str], words: str
) -> None:
    sign_in(client, user)
    answer = post(client, "/users/change", **{**FIELDS, **changes})
    assert answer.status_code == 422
    assert words in answer.text
    assert sign_in(app.test_client(), user).status_code == 302
    assert not changes_told(app)


def test_visitors_are_led_to_sign_in(client: FlaskClient) -> None:
    for path in ("/users/", "/users/change", "/users/change-email", "/users/verify"):
        assert client.get(path).location.startswith("/users/login?next=")


def test_an_old_sign_in_is_asked_for_the_password_and_led_back(
    client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    grow_old(client, 9)
    assert client.get("/users/change").status_code == 200
    grow_old(client)
    answer = client.get("/users/change")
    assert answer.location == "/users/verify?next=/users/change"
    page = client.get(answer.location)
    assert "Before this step, confirm that it is you." in page.text

    wrong = post(client, answer.location, password="not the password", next="/users/change")
    assert wrong.status_code == 422
    assert "This is not your password." in wrong.text
    assert client.get("/users/change").status_code == 302

    right = post(client, answer.location, password=PASSWORD, next="/users/change")
    assert right.location == "/users/change"
    assert client.get("/users/change").status_code == 200


def test_an_old_sign_in_changes_nothing_by_a_form_that_is_still_open(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    token = csrf_token(client, "/users/change")
    grow_old(client)
    answer = client.post("/users/change", data={"csrf_token": token, **FIELDS})
    assert answer.location.startswith("/users/verify")
    assert sign_in(app.test_client(), user).status_code == 302
    assert not changes_told(app)


@pytest.mark.parametrize(
    ("referrer", "page"),
    [
        ("http://localhost/users/two-factor", "/users/two-factor"),
        ("http://evil.example/users/two-factor", "/users/"),
        ("", "/users/"),
    ],
)
@pytest.mark.parametrize("asked", ["/users/verify", "/users/login"])
def test_a_form_without_a_page_of_its_own_leads_back_to_where_it_was(  # noqa: PLR0917
    app: Flask, client: FlaskClient, user: str, referrer: str, page: str, asked: str
) -> None:
    sign_in(client, user)
    token = csrf_token(client, "/users/two-factor")
    if asked == "/users/verify":
        grow_old(client)
    else:
        with app.app_context():
            user_of(user).fs_uniquifier = "another"
            db.session.commit()
    answer = client.post(
        "/users/two-factor/off", data={"csrf_token": token}, headers={"Referer": referrer}
    )
    assert answer.location == f"{asked}?next={page}"
    back = post(client, answer.location, email=user, password=PASSWORD)
    assert back.location == page
    assert client.get(page).status_code == 200


def test_being_busy_does_not_make_a_sign_in_younger(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    grow_old(client, 9.9)
    assert client.get("/users/change").status_code == 200
    grow_old(client, 10.1)
    assert client.get("/users/change").status_code == 302


def test_a_remembered_browser_is_asked_for_the_password(client: FlaskClient, user: str) -> None:
    sign_in(client, user, remember="y")
    client.delete_cookie("session")
    assert client.get("/users/").status_code == 200
    assert client.get("/users/change").location.startswith("/users/verify")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_confirming_leads_to_no_other_site(client: FlaskClient, user: str, target: str) -> None:
    sign_in(client, user)
    answer = post(client, "/users/verify", password=PASSWORD, next=target)
    assert answer.status_code == 422 or urlsplit(answer.location).netloc == ""


@pytest.mark.parametrize("path", ["/users/change", "/users/verify", "/users/change-email"])
def test_no_side_door_for_json(app: Flask, client: FlaskClient, user: str, path: str) -> None:
    sign_in(client, user)
    headers = {"X-CSRFToken": csrf_token(client, path), "Accept": "application/json"}
    answer = client.post(path, json={"password": "wrong", **FIELDS}, headers=headers)
    assert answer.mimetype == "text/html"
    assert "authentication_token" not in answer.text
