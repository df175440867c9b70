"""What is sent to accounts that is wrong: what people see, and that nothing happens.

A row does what has to be before, and returns the browser and what sends the bad input. Links of
mails have a table of their own in `test_auth_bad_links.py`, targets of `next` in
`test_auth_next.py`; more answers of devices that are no good are in `test_auth_passkey_answers.py`.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from werkzeug.test import TestResponse

from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from tests.auth_support import PASSWORD, add_user, link, sign_in, snapshot
from tests.passkey_support import SIGN_IN, Device, add, send, start
from tests.support import csrf_token, post
from tests.test_auth_two_factor import CODE, RECOVERY, turn_on

ADA, EVE, NEW = "ada@example.com", "eve@example.com", "ada@new.example"
WRONG_CODE = "This code is wrong, too old, or was used already."
WRONG_RECOVERY = "This code is wrong or was used already."
WRONG_PASSKEY = "This passkey could not be verified."
MALFORMED = "Write the address in full"
ANOTHER = "another pot entirely"
Send = tuple[FlaskClient, Callable[[], TestResponse]]
ROWS: list[Any] = []


def row(status: int, words: str, *mails: str) -> Callable[[Callable[[Flask], Send]], None]:
    """Add a row: the status, words on the page in the end, and mails that go to the owner."""

    def add_row(arrange: Callable[[Flask], Send]) -> None:
        ROWS.append(pytest.param(arrange, status, words, mails, id=arrange.__name__))

    return add_row


def member(app: Flask, email: str = ADA) -> FlaskClient:
    """Return a browser that has signed in."""
    client = app.test_client()
    assert sign_in(client, email).status_code == 302
    return client


def halfway(app: Flask, email: str = ADA) -> FlaskClient:
    """Return a browser that gave the password and is asked for the second factor."""
    client = app.test_client()
    assert sign_in(client, email).location.startswith(CODE)
    return client


@row(422, WRONG_CODE)
def code_of_an_hour_ago(app: Flask) -> Send:
    phone, _ = turn_on(member(app))
    client = halfway(app)
    return client, lambda: post(client, CODE, code=phone.at(time.time() - 3600))


@row(422, WRONG_CODE)
def code_of_a_minute_ahead(app: Flask) -> Send:
    phone, _ = turn_on(member(app))
    client = halfway(app)
    return client, lambda: post(client, CODE, code=phone.at(time.time() + 61))


@row(422, WRONG_CODE)
def code_that_was_used(app: Flask) -> Send:
    phone, _ = turn_on(member(app))
    code = phone.now()
    assert post(halfway(app), CODE, code=code).status_code == 302
    client = halfway(app)
    return client, lambda: post(client, CODE, code=code)


@row(422, WRONG_RECOVERY)
def recovery_code_that_was_used(app: Flask) -> Send:
    _, codes = turn_on(member(app))
    assert post(halfway(app), RECOVERY, code=codes[0]).status_code == 302
    client = halfway(app)
    return client, lambda: post(client, RECOVERY, code=codes[0])


@row(422, WRONG_RECOVERY)
def recovery_code_of_another_user(app: Flask) -> Send:
    _, codes = turn_on(member(app, EVE))
    turn_on(member(app))
    client = halfway(app)
    return client, lambda: post(client, RECOVERY, code=codes[0])


def passkey(app: Flask, tamper: Callable[[Device], None], origin: str = "http://localhost") -> Send:
    """Sign in with a passkey of Ada's that something is wrong with."""
    device, client = add(member(app)), app.test_client()
    action, asked = start(client, SIGN_IN)
    tamper(device)
    return client, lambda: send(client, action, device.get(asked, origin))


@row(302, WRONG_PASSKEY)
def passkey_from_another_origin(app: Flask) -> Send:
    return passkey(app, lambda _: None, origin="https://evil.example")


@row(302, WRONG_PASSKEY)
def passkey_with_a_counter_that_goes_back(app: Flask) -> Send:
    def go_back(device: Device) -> None:
        device.count -= 1

    return passkey(app, go_back)


@row(302, WRONG_PASSKEY)
def passkey_of_another_user(app: Flask) -> Send:
    other = add(member(app, EVE))

    def pretend(device: Device) -> None:
        device.owner = other.owner

    return passkey(app, pretend)


@row(200, "Two factors are on")
def two_factors_turned_on_in_two_tabs(app: Flask) -> Send:
    client = member(app)
    token = csrf_token(client, "/users/two-factor")
    phone, _ = turn_on(client)
    fields = {"csrf_token": token, "code": phone.now()}
    return client, lambda: client.post("/users/two-factor", data=fields)


@row(400, "This form has expired")
def password_changed_in_two_tabs(app: Flask) -> Send:
    client = member(app)
    token = csrf_token(client, "/users/change")
    fields = {"password": PASSWORD, "new_password": ANOTHER, "new_password_confirm": ANOTHER}
    assert post(client, "/users/change", **fields).status_code == 302
    return client, lambda: client.post("/users/change", data={"csrf_token": token, **fields})


@row(404, "")
def session_ended_in_two_tabs(app: Flask) -> Send:
    other, client = member(app), member(app)
    path = re.findall(r'action="(/users/sessions/[^"]+/end)"', client.get("/users/sessions").text)[
        -1
    ]
    token = csrf_token(client, "/users/sessions")
    post(other, "/users/logout", form="/")
    return client, lambda: client.post(path, data={"csrf_token": token})


@row(302, "Sign in")
def signed_out_in_two_tabs(app: Flask) -> Send:
    client = member(app)
    post(client, "/users/logout", form="/")
    return client, lambda: post(client, "/users/logout", form="/users/login")


def gone(app: Flask) -> FlaskClient:
    """Return the browser of a user who was deleted while signed in."""
    client = member(app)
    client.token = csrf_token(client, "/users/change")  # type: ignore[attr-defined]
    with app.app_context():
        db.session.execute(delete(User).where(User.email == ADA))
        db.session.commit()
    return client


@row(302, "Sign in to see this page.")
def page_of_a_user_who_is_deleted(app: Flask) -> Send:
    client = gone(app)
    return client, lambda: client.get("/users/")


@row(302, "Sign in to see this page.")
def form_of_a_user_who_is_deleted(app: Flask) -> Send:
    client = gone(app)
    token = client.token  # type: ignore[attr-defined]
    fields = {"password": PASSWORD, "new_password": ANOTHER, "new_password_confirm": ANOTHER}
    return client, lambda: client.post("/users/change", data={"csrf_token": token, **fields})


@row(302, "Sign in")
def code_of_a_user_who_is_deleted(app: Flask) -> Send:
    phone, _ = turn_on(member(app))
    client = halfway(app)
    token = csrf_token(client, CODE)
    with app.app_context():
        db.session.execute(delete(User).where(User.email == ADA))
        db.session.commit()
    return client, lambda: client.post(CODE, data={"csrf_token": token, "code": phone.now()})


@row(302, "This link is not complete or not valid any more.")
def address_that_was_taken_meanwhile(app: Flask) -> Send:
    client = member(app)
    post(client, "/users/change-email", email=NEW)
    path = link(app, "change_email", "link")
    add_user(app, NEW)
    return client, lambda: client.get(path)


@row(422, "The address or the password is wrong")
def a_thousand_wrong_passwords(app: Flask) -> Send:
    client = app.test_client()
    data = {"csrf_token": csrf_token(client), "email": ADA, "password": "wrong password"}
    for number in range(999):
        assert client.post("/users/login", data={**data, "password": f"wrong {number}"})
    return client, lambda: client.post("/users/login", data={**data, "password": PASSWORD})


def form(path: str, field: str, value: str, **others: str) -> Callable[[Flask], Send]:
    """Send a form with one field that is wrong; the browser has signed in if it must."""

    def arrange(app: Flask) -> Send:
        public = path in ("/users/register", "/users/login", "/users/reset", "/users/confirm")
        client = app.test_client() if public else member(app)
        return client, lambda: post(client, path, **{field: value, **others})

    return arrange


LINES = {"line": "\r\nBcc: eve@example.com", "feed": "\nBcc: eve@example.com", "next": "\x85Bcc: e"}
for name, lines in LINES.items():
    for path in ("register", "reset", "confirm", "change-email"):
        arrange = form(f"/users/{path}", "email", f"{NEW}{lines}", password=PASSWORD)
        arrange.__name__ = f"header_{name}_in_{path}"
        row(422, MALFORMED)(arrange)
    arrange = form("/users/profile", "display_name", f"Ada{lines}", theme="dark")
    arrange.__name__ = f"header_{name}_in_profile"
    row(422, "Please write this on one line")(arrange)

WIDE_E = "\N{FULLWIDTH LATIN SMALL LETTER E}"
# Full width, another case, and an invisible joiner: the same address for people.
for name, email, status, words in (
    ("case", "ADA@Example.COM", 302, "sent a mail to ada@example.com"),
    ("spaces", "  ada@example.com ", 302, "sent a mail to ada@example.com"),
    ("full_width_domain", f"ada@{WIDE_E}xample.com", 302, "sent a mail to ada@example.com"),
    ("cyrillic", "\N{CYRILLIC SMALL LETTER A}da@example.com", 422, "only plain letters"),
    ("full_width", f"{WIDE_E}da@example.com", 422, "only plain letters"),
    ("joiner", "a\u200dda@example.com", 422, MALFORMED),
    ("accent", "áda@example.com", 422, "only plain letters"),
):
    arrange = form("/users/register", "email", email, password=ANOTHER)
    arrange.__name__ = f"look_alike_{name}"
    row(status, words, *(["auth/mail/already_registered"] if status == 302 else []))(arrange)


@pytest.mark.parametrize(("arrange", "status", "words", "mails"), ROWS)
def test_bad_input(
    app: Flask, arrange: Callable[[Flask], Send], status: int, words: str, mails: tuple[str, ...]
) -> None:
    for email in (ADA, EVE):
        add_user(app, email)
    client, act = arrange(app)
    rows, written = snapshot(app), templates(app)
    answer = act()
    assert answer.status_code == status
    page = (client.get(answer.location) if answer.location else answer).text
    assert words in page
    for secret in ("Traceback", "evil.example", EVE, ANOTHER):
        assert secret not in re.sub(r'value="[^"]*"', "", page), "but for what was typed"
    assert templates(app) == [*written, *mails]
    assert {**snapshot(app), "jobs": []} == {**rows, "jobs": []}


def templates(app: Flask) -> list[str]:
    """Return the templates of the mails that were written."""
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        mails = [job for job in jobs if job.task == "app.tasks.send_email"]
        return [job.arguments["args"][1] for job in mails]
