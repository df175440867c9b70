"""Changing the address: the new one confirms, the old one can take it back."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.auth.models import AddressChange, User
from app.auth.sessions import BrowserSession
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.auth_support import link, user_of
from tests.support import Inbox, csrf_token, link_in, post, text_of
from tests.test_auth import PASSWORD, add_user, queued, sign_in, users
from tests.test_auth_password import grow_old, is_in

OLD, NEW = "ada@example.com", "ada@new.example"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user whose password is PASSWORD."""
    return add_user(app, OLD)


def change(app: Flask, client: FlaskClient, new: str = NEW) -> str:
    """Change the address; return the link that undoes it."""
    post(client, "/users/change-email", email=new)
    assert client.get(link(app, "change_email", "link")).location == "/users/"
    return link(app, "address_left", "undo_link")


def test_whole_life_of_a_changed_address(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, OLD)
    here, there = live_app.test_client(), live_app.test_client()
    sign_in(here, OLD)
    sign_in(there, OLD)
    answer = post(here, "/users/change-email", email="Ada@New.example")
    assert "We have sent a mail to ada@new.example" in answer.text
    assert users(live_app) == [OLD], "nothing changes before the new address confirms"

    confirm = link_in(inbox.wait_for(NEW))
    assert here.get(confirm).location == "/users/"
    assert users(live_app) == [NEW]
    assert is_in(here)
    assert not is_in(there)
    assert live_app.test_client().get(confirm).location == "/users/change-email", "it works once"

    mail = inbox.wait_for_subject(OLD, "Your address was changed")
    assert NEW not in mail.as_string(), "whoever reads the old mailbox learns no new address"
    assert "at the address 127.0.0.1" in text_of(mail)
    inbox.wait_for_subject(NEW, "This is your address now")

    visitor = live_app.test_client()
    assert "Take your address back?" in visitor.get(link_in(mail)).text
    assert users(live_app) == [NEW], "looking changes nothing"
    assert post(visitor, link_in(mail)).location == "/users/reset"
    assert users(live_app) == [OLD]
    assert not is_in(here)
    assert sign_in(there, OLD).status_code == 422, "the password is gone"
    assert visitor.get(link_in(mail)).status_code == 410, "it works once"
    inbox.wait_for_subject(OLD, "An address was taken back")

    post(visitor, "/users/reset", email=OLD)
    reset = link_in(inbox.wait_for_subject(OLD, "Set a new password"))
    post(visitor, reset, password="a third pot", password_confirm="a third pot")
    assert sign_in(there, OLD, "a third pot").status_code == 302


def test_taking_back_takes_back_all_changes_since(app: Flask, user: str) -> None:
    client = app.test_client()
    sign_in(client, user)
    first = change(app, client, "second@example.com")
    second = change(app, client, "third@example.com")
    visitor = app.test_client()
    assert post(visitor, first).status_code == 302
    assert users(app) == [OLD]
    assert visitor.get(second).status_code == 410


def test_a_change_keeps_the_age_of_the_sign_in(app: Flask, client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    grow_old(client)
    client.get(link(app, "change_email", "link"))
    assert is_in(client)
    assert client.get("/users/change").location.startswith("/users/verify")


def test_a_link_that_is_opened_minutes_later_changes_the_address(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    with app.app_context():
        db.session.execute(
            update(BrowserSession).values(last_seen_at=utcnow() - timedelta(hours=1))
        )
        db.session.commit()
    assert client.get(link(app, "change_email", "link")).location == "/users/"
    assert is_in(client)
    assert users(app) == [NEW]


def test_an_old_sign_in_is_asked_for_the_password(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    grow_old(client)
    assert client.get("/users/change-email").location.startswith("/users/verify")


def test_a_taken_address_looks_like_a_free_one(app: Flask, client: FlaskClient, user: str) -> None:
    add_user(app, "taken@example.com")
    sign_in(client, user)
    pages = []
    for email in ("taken@example.com", "tuken@example.com"):
        answer = post(client, "/users/change-email", email=email)
        text = re.sub(r'name="csrf_token"[^>]*', "", answer.text)  # it has the second in it
        pages.append((answer.status_code, text.replace(email, "ADDRESS")))
        client.get("/")
    assert pages[0] == pages[1]
    assert queued(app) == 2, "a mail, and for the other a job that mails nobody"


def test_a_link_that_reached_somebody_else_changes_nothing(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    path = link(app, "change_email", "link")
    add_user(app, "eve@example.com")
    visitor, eve = app.test_client(), app.test_client()
    sign_in(eve, "eve@example.com")
    for other in (visitor, eve):
        assert other.get(path).location == "/users/login"
        page = other.get("/users/login", follow_redirects=True).text
        assert "Sign in to the account that gets this address" in page
        assert users(app) == [OLD, "eve@example.com"]
    phone = app.test_client()
    sign_in(phone, user)
    assert phone.get(path).location == "/users/"
    assert users(app) == [NEW, "eve@example.com"]


def test_an_address_nobody_confirmed_can_be_taken_by_whoever_reads_its_mails(
    app: Flask, client: FlaskClient, user: str
) -> None:
    stranger = app.test_client()
    post(stranger, "/users/register", email=NEW, password="another pot entirely")
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    path = link(app, "change_email", "link")
    assert users(app) == [OLD, NEW], "whoever has no link takes nothing"
    assert client.get(path[:-9]).location == "/users/change-email"
    assert users(app) == [OLD, NEW]
    assert client.get(path).location == "/users/"
    assert users(app) == [NEW]
    assert is_in(client)
    post(stranger, "/users/register", email=OLD, password="another pot entirely")
    assert client.get(path).location == "/users/change-email", "it works once"
    assert users(app) == [NEW, OLD]


@pytest.mark.parametrize("case", ["taken", "altered", "truncated", "password", "late", "deleted"])
def test_links_that_do_not_confirm_all_get_the_same_answer(
    app: Flask, client: FlaskClient, user: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    path = link(app, "change_email", "link")
    words = "This link is not complete or not valid any more."
    if case == "taken":
        add_user(app, NEW)
    elif case == "password":
        new = {"new_password": "another pot", "new_password_confirm": "another pot"}
        post(client, "/users/change", password=PASSWORD, **new)
    elif case == "late":
        monkeypatch.setitem(app.config, "SECURITY_CHANGE_EMAIL_WITHIN", timedelta(seconds=-1))
        words = "Ask for a new one."
    elif case == "deleted":
        with app.app_context():
            db.session.delete(db.session.scalars(select(User)).one())
            db.session.commit()
    path = {"altered": path[:-1] + "!", "truncated": path[:-9]}.get(case, path)
    before = users(app)
    answer = client.get(path)
    assert answer.location == "/users/change-email"
    assert users(app) == before
    assert OLD not in before or case == "deleted" or before[0] == OLD
    if case != "deleted":
        assert words in client.get("/").text


def test_an_address_taken_at_the_very_moment_is_refused(
    app: Flask, client: FlaskClient, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, user)
    post(client, "/users/change-email", email=NEW)
    add_user(app, NEW)
    # As if the other account were not there yet when the library looks.
    monkeypatch.setattr(
        "flask_security.change_email._verify_token_status",
        lambda _: (False, False, db.session.scalars(select(User).filter_by(email=OLD)).one(), NEW),
    )
    assert client.get("/users/change-email/x").location == "/users/change-email"
    assert users(app) == [OLD, NEW]
    assert queued(app) == 1


@pytest.mark.parametrize("case", ["altered", "truncated", "late", "foreign", "confirmed"])
def test_links_that_do_not_take_back(app: Flask, client: FlaskClient, user: str, case: str) -> None:
    sign_in(client, user)
    path = change(app, client)
    stem, _, token = path.rpartition("/")
    if case == "late":
        # The moment is in the link itself; a row that is gone refuses it as well.
        with app.app_context():
            old = utcnow() - timedelta(days=8)
            db.session.execute(update(AddressChange).values(changed_at=old))
            db.session.commit()
            app.extensions["celery"].tasks["app.auth.tasks.clean_up"]()
    elif case == "confirmed":
        add_user(app, OLD)
    path = {
        "altered": f"{stem}/x{token}",
        "truncated": path[:-4],
        "foreign": f"{stem}/{link(app, 'change_email', 'link').rpartition('/')[2]}",
    }.get(case, path)
    before = users(app)
    answer = post(app.test_client(), path, form="/users/login")
    assert answer.status_code == 410
    assert "This link is not valid any more" in answer.text
    assert users(app) == before


def test_of_two_requests_that_take_back_one_does(app: Flask, user: str) -> None:
    client = app.test_client()
    sign_in(client, user)
    path = change(app, client)
    visitors = [app.test_client() for _ in range(4)]
    tokens = [csrf_token(visitor, path) for visitor in visitors]
    before, begin = queued(app), threading.Barrier(4)

    def take_back(visitor: FlaskClient, token: str) -> int:
        begin.wait()
        return visitor.post(path, data={"csrf_token": token}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take_back, visitors, tokens)) == [302, 410, 410, 410]
    assert users(app) == [OLD]
    assert queued(app) == before + 2, "each address is told once"


def test_an_account_nobody_confirmed_does_not_keep_the_old_address(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    path = change(app, client)
    stranger = app.test_client()
    post(stranger, "/users/register", email=OLD, password="another pot entirely")
    assert users(app) == [NEW, OLD]
    assert post(app.test_client(), path).status_code == 302
    assert users(app) == [OLD]
    with app.app_context():
        owners = {str(user_of(OLD).id)}
        assert set(db.session.scalars(select(Job.owner))) == owners, "nor leaves a mail"


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("", "Write your address."),
        ("no address", "Write the address in full"),
        ("jürgen@example.com", "Before the @ only plain letters"),
        (f"{NEW}\r\nBcc: eve@example.com", "Write the address in full"),
    ],
)
def test_bad_addresses_are_explained(
    app: Flask, client: FlaskClient, user: str, email: str, words: str
) -> None:
    sign_in(client, user)
    answer = post(client, "/users/change-email", email=email)
    assert answer.status_code == 422
    assert words in answer.text
    assert queued(app) == 0
