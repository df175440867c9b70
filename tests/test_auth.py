"""Accounts: what visitors can do, what they cannot, and what nobody learns."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_security import hash_password
from sqlalchemy import select

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.support import Inbox, csrf_token, link_in, post, text_of

PASSWORD = "a stockpot full of soup"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user whose password is PASSWORD."""
    return add_user(app, "ada@example.com")


def add_user(app: Flask, email: str, confirmed: bool = True) -> str:
    with app.app_context():
        db.session.add(
            User(
                email=email,
                password=hash_password(PASSWORD),
                fs_uniquifier=email,
                confirmed_at=utcnow() if confirmed else None,
            )
        )
        db.session.commit()
    return email


def users(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(User.email).order_by(User.id)))


def queued(app: Flask) -> int:
    """Return how many jobs there are."""
    with app.app_context():
        return len(db.session.scalars(select(Job.id)).all())


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, **fields: str):
    return post(client, "/users/login", email=email, password=password, **fields)


def test_greeting_names_the_address_and_fills_the_form(app: Flask, client: FlaskClient) -> None:
    page = client.get("/users/register/ada@example.com").text
    assert "Hello, ada@example.com, from the auth blueprint!" in page
    assert re.search(r'<input[^>]*name="email"[^>]*value="ada@example.com"', page)
    assert (users(app), queued(app)) == ([], 0)


def test_greeting_escapes_what_it_is_given(client: FlaskClient) -> None:
    assert "<script>" not in client.get("/users/register/%3Cscript%3E").text


def test_whole_life_of_an_account(live_app: Flask, inbox: Inbox) -> None:
    client = live_app.test_client()
    answer = post(client, "/users/register", email="Ada@Example.com", password=PASSWORD)
    assert answer.status_code == 302
    assert sign_in(client, "ada@example.com").status_code == 422, "not confirmed yet"

    mail = inbox.wait_for("ada@example.com")
    assert mail["Subject"] == "Welcome to Stockpot"
    assert client.get(link_in(mail)).location == "/users/login"

    assert sign_in(client, "ADA@example.com").location == "/"
    assert "You are signed in as ada@example.com." in client.get("/").text
    assert post(client, "/users/logout", form="/").location == "/"
    assert "You are signed in" not in client.get("/").text

    post(client, "/users/reset", email="ada@example.com")
    link = link_in(inbox.wait_for("ada@example.com", 2))
    new = "another pot entirely"
    answer = post(client, link, password=new, password_confirm=new)
    assert answer.location == "/users/login"
    assert inbox.wait_for("ada@example.com", 3)["Subject"] == "Your password was changed"
    assert sign_in(client, "ada@example.com").status_code == 422, "the old password"
    assert sign_in(client, "ada@example.com", new).status_code == 302
    client.delete_cookie("session")
    assert client.get(link).location == "/users/reset", "a link to set a password works once"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": "", "password": PASSWORD}, "Write your address."),
        ({"email": "not an address", "password": PASSWORD}, "Write the address in full"),
        ({"email": "a" * 300 + "@example.com", "password": PASSWORD}, "Write the address in full"),
        ({"email": "jürgen@example.com", "password": PASSWORD}, "only plain letters"),
        ({"email": "jürgen", "password": PASSWORD}, "Write the address in full"),
        (
            {"email": "ada@example.com\r\nBcc: eve@example.com", "password": PASSWORD},
            "Write the address in full",
        ),
        ({"email": "ada@example.com\0", "password": PASSWORD}, "Write the address in full"),
        ({"email": "ada@example.com", "password": ""}, "Write a password."),
        ({"email": "ada@example.com", "password": "short"}, "Use at least 8 characters."),
        ({"email": "ada@example.com", "password": "p" * 10_000}, "Use at most 128 characters."),
    ],
)
def test_bad_registrations_are_explained_and_leave_nothing(
    app: Flask, client: FlaskClient, fields: dict[str, str], words: str
) -> None:
    response = post(client, "/users/register", **fields)
    assert response.status_code == 422
    assert words in response.text
    assert "Traceback" not in response.text
    assert (users(app), queued(app)) == ([], 0)


@pytest.mark.parametrize("token", [None, "stale", "x" * 5000])
def test_registration_without_a_valid_csrf_token_leaves_nothing(
    app: Flask, client: FlaskClient, token: str | None
) -> None:
    fields = {"email": "ada@example.com", "password": PASSWORD}
    csrf_token(client)
    response = client.post(
        "/users/register", data={**fields, **({"csrf_token": token} if token else {})}
    )
    assert response.status_code == 400
    assert "This form has expired" in response.text
    assert (users(app), queued(app)) == ([], 0)


def test_registering_a_known_address_looks_like_a_new_one(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, "ada@example.com")
    answers = []
    for email in ("ada@example.com", "new@example.com"):
        client = live_app.test_client()
        answer = post(client, "/users/register", email=email, password=PASSWORD)
        page = client.get(answer.location).text.replace(email, "ADDRESS")
        answers.append((answer.status_code, answer.location, page))
    assert answers[0] == answers[1]
    assert inbox.wait_for("ada@example.com")["Subject"] == "You have an account already"
    assert inbox.wait_for("new@example.com")["Subject"] == "Welcome to Stockpot"
    assert users(live_app) == ["ada@example.com", "new@example.com"]


@pytest.mark.parametrize("path", ["/users/reset", "/users/confirm"])
def test_asking_for_a_link_tells_nobody_who_has_an_account(
    app: Flask, client: FlaskClient, user: str, path: str
) -> None:
    add_user(app, "waiting@example.com", confirmed=False)
    answers = set()
    for email in (user, "waiting@example.com", "stranger@example.com"):
        answer = post(client, path, email=email)
        token = re.compile(r'name="csrf_token"[^>]*value="[^"]+"')
        answers.add((answer.status_code, token.sub("", answer.text.replace(email, "ADDRESS"))))
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("", "Write your address."),
        ("not an address", "Write the address in full"),
        ("jürgen@example.com", "only plain letters"),
    ],
)
@pytest.mark.parametrize("path", ["/users/reset", "/users/confirm"])
def test_a_malformed_address_is_explained_when_a_link_is_asked_for(
    client: FlaskClient, path: str, email: str, words: str
) -> None:
    answer = post(client, path, email=email)
    assert answer.status_code == 422
    assert re.search(rf'<p class="errors" id="email-notes">[^<]*{words}', answer.text)
    assert "is on its way" not in answer.text
    assert "is on its way" not in client.get(path).text


def test_signing_in_tells_nobody_who_has_an_account(
    app: Flask, client: FlaskClient, user: str
) -> None:
    add_user(app, "waiting@example.com", confirmed=False)
    answers = set()
    for email, password in (
        (user, "wrong password"),
        ("waiting@example.com", PASSWORD),
        ("waiting@example.com", "wrong password"),
        ("stranger@example.com", PASSWORD),
    ):
        answer = sign_in(client, email, password)
        token = re.compile(r'name="csrf_token"[^>]*value="[^"]+"')
        answers.add((answer.status_code, token.sub("", answer.text.replace(email, "ADDRESS"))))
    assert len(answers) == 1
    assert answers.pop()[0] == 422


def test_remembered_browser_stays_signed_in(client: FlaskClient, user: str) -> None:
    sign_in(client, user, remember="y")
    client.delete_cookie("session")
    assert f"You are signed in as {user}." in client.get("/").text


def test_forgetful_browser_does_not_stay_signed_in(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    client.delete_cookie("session")
    assert "You are signed in" not in client.get("/").text


def test_signing_out_needs_a_post_with_a_token(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    assert client.get("/users/logout").status_code == 405
    assert client.post("/users/logout").status_code == 400
    assert "You are signed in" in client.get("/").text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_signing_in_leads_to_no_other_site(client: FlaskClient, user: str, target: str) -> None:
    token = csrf_token(client)
    fields = {"email": user, "password": PASSWORD, "next": target, "csrf_token": token}
    response = client.post("/users/login", data=fields)
    assert response.status_code == 422 or urlsplit(response.location).netloc == ""


@pytest.mark.parametrize("token", ["x", "WyIxIl0.abc.def", "x" * 3000])
@pytest.mark.parametrize("path", ["/users/confirm", "/users/reset"])
def test_altered_links_lead_to_a_new_one(client: FlaskClient, path: str, token: str) -> None:
    response = client.get(f"{path}/{token}")
    assert response.location == path
    assert "Ask for a new one here." in client.get(path).text


@pytest.mark.parametrize(
    "path", ["/users/login", "/users/register", "/users/reset", "/users/confirm"]
)
def test_forms_have_no_side_door_for_json(
    app: Flask, client: FlaskClient, user: str, path: str
) -> None:
    response = client.post(path, json={"email": user, "password": PASSWORD})
    assert response.status_code == 400
    assert response.mimetype == "text/html"
    headers = {"X-CSRFToken": csrf_token(client), "Accept": "application/json"}
    response = client.post(path, json={"email": user, "password": PASSWORD}, headers=headers)
    assert "authentication_token" not in response.text
    assert response.mimetype == "text/html"


def test_header_injection_in_the_contact_form_is_refused(app: Flask, client: FlaskClient) -> None:
    app.config["ADMINS"] = ["admin@example.com"]
    for fields in (
        {"name": "Ada\r\nBcc: eve@example.com", "email": "ada@example.com"},
        {"name": "Ada", "email": "ada@example.com\r\nBcc: eve@example.com"},
        {"name": "Ada\u2028Bcc: eve@example.com", "email": "ada@example.com"},
        {"name": "Ada\x1b[2J", "email": "ada@example.com"},
        {"name": "Ada\x9b2J", "email": "ada@example.com"},
        {"name": "Ada\x00\x07", "email": "ada@example.com"},
    ):
        response = post(client, "/contact", message="Soup", **fields)
        assert response.status_code == 422
    assert queued(app) == 0


def test_mails_have_a_text_and_a_html_part_that_say_the_same(live_app: Flask, inbox: Inbox) -> None:
    post(live_app.test_client(), "/users/register", email="ada@example.com", password=PASSWORD)
    mail = inbox.wait_for("ada@example.com")
    html = mail.get_body(("html",))
    assert html
    assert link_in(mail) in html.get_content()
    assert "two days" in text_of(mail)
    assert mail["Message-ID"]
    assert mail["Date"]


def test_accounts_that_nobody_confirms_are_forgotten(live_app: Flask) -> None:
    for email, days, confirmed in (
        ("old@example.com", 31, False),
        ("young@example.com", 29, False),
        ("member@example.com", 31, True),
    ):
        add_user(live_app, email, confirmed)
        with live_app.app_context():
            one = db.session.scalars(select(User).where(User.email == email)).one()
            one.created_at = utcnow() - timedelta(days=days)
            db.session.commit()
    task = live_app.extensions["celery"].tasks["app.auth.tasks.forget_unconfirmed"]
    with live_app.app_context():
        task()
    assert users(live_app) == ["young@example.com", "member@example.com"]
