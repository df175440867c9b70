"""Confirming an address: nobody's click confirms the password of somebody else."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.confirmation import SIGNED_UP
from app.auth.models import User
from app.extensions import db
from app.jobs.models import Job
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import post

ADDRESS = "ada@example.com"
THEIRS = "chosen by somebody else"
OWN = "another pot entirely"


def sign_up(client: FlaskClient, password: str = PASSWORD, email: str = ADDRESS) -> None:
    assert post(client, "/users/register", email=email, password=password).status_code == 302


def link(app: Flask, name: str = "confirmation_link") -> str:
    """Return the path of that link in the last mail that has one."""
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at.desc())).all()
        links = [job.arguments["args"][2].get(name) for job in jobs]
    return next(link for link in links if link).removeprefix("http://localhost")


def is_confirmed(app: Flask) -> bool:
    with app.app_context():
        return user_of(ADDRESS).confirmed_at is not None


def choose(client: FlaskClient, path: str, password: str = OWN) -> None:
    answer = post(client, path, password=password, password_confirm=password)
    assert answer.location == "/users/login"


def test_one_click_is_enough_where_one_signed_up(app: Flask, client: FlaskClient) -> None:
    sign_up(client)
    assert client.get(link(app)).location == "/users/login"
    assert sign_in(client, ADDRESS).location == "/"


def test_so_it_is_with_a_link_that_was_asked_for_again(app: Flask, client: FlaskClient) -> None:
    sign_up(client)
    sign_up(client)
    post(client, "/users/confirm", email=ADDRESS)
    assert client.get(link(app)).location == "/users/login"
    assert is_confirmed(app)


def test_in_another_browser_one_chooses_the_password(app: Flask, client: FlaskClient) -> None:
    sign_up(app.test_client())
    answer = client.get(link(app))
    assert answer.location.startswith("/users/reset/")
    assert "Choose the password here" in client.get(answer.location).text
    assert not is_confirmed(app), "a program that looks at the links of mails confirms nothing"
    choose(client, answer.location, PASSWORD)
    assert sign_in(client, ADDRESS).location == "/"
    assert client.get(answer.location).location == "/users/reset", "the link worked once"


@pytest.mark.parametrize("first", ["owner", "stranger"])
def test_whoever_signs_up_with_the_address_of_somebody_else_gains_nothing(
    app: Flask, client: FlaskClient, first: str
) -> None:
    stranger = app.test_client()
    if first == "owner":
        sign_up(client)
    sign_up(stranger, THEIRS)
    answer = client.get(link(app))
    assert answer.location.startswith("/users/reset/")
    assert not is_confirmed(app)
    assert sign_in(stranger, ADDRESS, THEIRS).status_code == 422
    choose(client, answer.location)
    assert sign_in(stranger, ADDRESS, THEIRS).status_code == 422
    assert sign_in(client, ADDRESS, OWN).location == "/"


def test_the_page_to_choose_is_void_when_somebody_signs_up_meanwhile(
    app: Flask, client: FlaskClient
) -> None:
    sign_up(app.test_client())
    page = client.get(link(app)).location
    sign_up(app.test_client(), THEIRS)
    answer = client.get(page)
    assert answer.location == "/users/reset"
    post(client, "/users/reset", email=ADDRESS)
    choose(client, link(app, "reset_link"))
    assert sign_in(client, ADDRESS, OWN).location == "/"


def test_a_forgotten_password_confirms_too(app: Flask, client: FlaskClient) -> None:
    sign_up(app.test_client())
    post(client, "/users/reset", email=ADDRESS)
    choose(client, link(app, "reset_link"))
    assert is_confirmed(app)
    assert client.get(link(app)).location == "/users/confirm", "the older link is void"


def test_one_address_confirms_no_other(app: Flask, client: FlaskClient) -> None:
    sign_up(client)
    sign_up(app.test_client(), THEIRS, "eve@example.com")
    assert client.get(link(app)).location.startswith("/users/reset/")


def test_the_cookie_does_not_tell_who_has_an_account(app: Flask) -> None:
    add_user(app, "member@example.com")
    marks = []
    for email in ("new@example.com", "member@example.com"):
        for client in (app.test_client(), app.test_client()):
            sign_up(client, email=email)
            with client.session_transaction() as session:
                marks.append(session[SIGNED_UP])
    assert [[len(part) for part in mark] for mark in marks] == [[32, 64]] * 4
    assert len({part for mark in marks for part in mark}) == 8, "nor whether it was the same twice"
    with app.app_context():
        for user in db.session.scalars(select(User)):
            assert user.fs_uniquifier not in str(marks)
