"""Roles and `flask auth`: who may do what, and that a change of it ends what was before."""

from datetime import timedelta

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.models import Role, User
from app.extensions import db
from app.jobs.models import Job
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import Inbox, link_in, post
from tests.test_auth_two_factor import turn_on

EMAIL = "ada@example.com"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user."""
    return add_user(app, EMAIL)


def run(app: Flask, *args: str, typed: str = "") -> Result:
    return app.test_cli_runner().invoke(args=["auth", *args], input=typed)


def roles(app: Flask, email: str = EMAIL) -> list[str]:
    with app.app_context():
        return [role.name for role in user_of(email).roles]


def is_in(client: FlaskClient) -> bool:
    return "You are signed in as" in client.get("/").text


def test_admin_is_made_with_a_password_that_is_typed(app: Flask, client: FlaskClient) -> None:
    result = run(app, "create-admin", "Ada@Example.com", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert roles(app) == ["admin"]
    assert sign_in(client, EMAIL).status_code == 302


def test_admin_is_made_with_a_link_that_works_once(live_app: Flask, inbox: Inbox) -> None:
    result = run(live_app, "create-admin", EMAIL, "--mail")
    assert result.exit_code == 0, result.output
    client = live_app.test_client()
    assert sign_in(client, EMAIL).status_code == 422, "no password yet"
    mail = inbox.wait_for(EMAIL)
    assert mail["Subject"] == "Your account at Stockpot"
    link = link_in(mail)
    answer = post(client, link, password=PASSWORD, password_confirm=PASSWORD)
    assert answer.location == "/users/login"
    assert client.get(link).location == "/users/reset"
    assert sign_in(client, EMAIL).status_code == 302


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        (EMAIL, "short", "Use at least 8 characters."),
        (EMAIL, "password1", "Many people use this password"),
        (EMAIL, "ada@example.com", "too close to your address"),
        ("no address", PASSWORD, "Error"),
        ("grace@example.com", PASSWORD, "has an account already"),
    ],
)
def test_admin_is_not_made_of_bad_input(app: Flask, email: str, password: str, words: str) -> None:
    add_user(app, "grace@example.com")
    result = run(app, "create-admin", email, typed=f"{password}\n{password}\n")
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output
    with app.app_context():
        assert db.session.scalars(select(User.email)).all() == ["grace@example.com"]
        assert db.session.scalars(select(Job)).all() == []


def test_each_change_of_rights_ends_the_sessions(
    app: Flask, client: FlaskClient, user: str
) -> None:
    for command in ("grant", "revoke"):
        sign_in(client, EMAIL, remember="y")
        assert is_in(client)
        with app.app_context():
            before = user_of(EMAIL).fs_uniquifier
        assert run(app, command, EMAIL, "admin").exit_code == 0
        assert not is_in(client)
        with app.app_context():
            assert user_of(EMAIL).fs_uniquifier != before
    assert roles(app) == []


def test_granting_twice_changes_nothing(app: Flask, client: FlaskClient, user: str) -> None:
    run(app, "grant", EMAIL, "admin")
    sign_in(client, EMAIL)
    assert run(app, "grant", EMAIL, "admin").exit_code == 0
    assert is_in(client)
    assert roles(app) == ["admin"]
    with app.app_context():
        assert len(db.session.scalars(select(Role)).all()) == 1


def test_deactivated_user_is_out_until_activated(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, EMAIL, remember="y")
    assert run(app, "deactivate", EMAIL).exit_code == 0
    assert not is_in(client)
    client.delete_cookie("session")
    assert not is_in(client)
    assert sign_in(client, EMAIL).status_code == 422
    assert run(app, "activate", EMAIL).exit_code == 0
    assert not is_in(client), "what ended stays ended"
    assert sign_in(client, EMAIL).status_code == 302


def test_whoever_lost_everything_is_helped_by_an_administrator(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, EMAIL)
    turn_on(client)
    for _ in range(2):
        assert run(app, "two-factors-off", EMAIL).exit_code == 0
    assert not is_in(client), "a stranger who set the second factor up is out"
    assert sign_in(client, EMAIL).status_code == 302
    assert is_in(client)
    assert "An administrator" in client.get("/users/security-log").text
    with app.app_context():
        mails = [job.arguments["args"] for job in db.session.scalars(select(Job))]
    told = [context for _, name, context in mails if name == "auth/mail/two_factors_off"]
    assert [context["device"] for context in told] == [None], "told once, by an administrator"


@pytest.mark.parametrize(
    "args",
    [
        ("grant", "eve@example.com", "admin"),
        ("revoke", "eve@example.com", "admin"),
        ("deactivate", "eve@example.com"),
        ("activate", "eve@example.com"),
        ("two-factors-off", "eve@example.com"),
    ],
)
def test_commands_name_an_unknown_address(app: Flask, args: tuple[str, ...]) -> None:
    result = run(app, *args)
    assert result.exit_code == 1
    assert "Nobody has an account with the address eve@example.com." in result.output


def test_unknown_role_is_refused(app: Flask, user: str) -> None:
    result = run(app, "grant", EMAIL, "emperor")
    assert result.exit_code == 2
    assert roles(app) == []


def test_accounts_nobody_confirmed_are_deleted(app: Flask, user: str) -> None:
    add_user(app, "old@example.com", confirmed=False)
    with app.app_context():
        user_of("old@example.com").created_at = utcnow() - timedelta(days=31)
        db.session.commit()
    assert "1 accounts are deleted." in run(app, "forget-unconfirmed").output
    with app.app_context():
        assert db.session.scalars(select(User.email)).all() == [EMAIL]
