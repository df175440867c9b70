"""Guessing elsewhere than at the sign-in: who confirms a step, and second factors."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyotp.totp import TOTP
from sqlalchemy import func, select

from app.auth.models import RecoveryCode
from app.auth.two_factors import turn_off
from app.extensions import db
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, link, sign_in, user_of
from tests.support import post
from tests.test_auth_password import NEW, grow_old, is_in
from tests.test_auth_two_factor import CODE, RECOVERY, turn_on

EMAIL = "ada@example.com"


@pytest.fixture
def member(app: Flask) -> FlaskClient:
    """Return a client that has signed in as ada@example.com."""
    client = app.test_client()
    sign_in(client, add_user(app, EMAIL))
    return client


def failures(app: Flask) -> int:
    with app.app_context():
        return user_of(EMAIL).failed_sign_ins


def set_wait(app: Flask, wait: timedelta | None) -> None:
    """Let the account be in a wait that ends after `wait`, or in none."""
    with app.app_context():
        user_of(EMAIL).locked_until = None if wait is None else utcnow() + wait
        db.session.commit()


def bare(page: str) -> str:
    """Return `page` without what was typed, and without its token."""
    return re.sub(r'value="[^"]*"', "", page)


def new_password(password: str) -> dict[str, str]:
    return {"password": password, "new_password": NEW, "new_password_confirm": NEW}


def test_whoever_guesses_at_an_open_browser_has_to_wait(app: Flask, member: FlaskClient) -> None:
    grow_old(member)
    for _ in range(3):
        assert post(member, "/users/verify", password="wrong password").status_code == 422
    with member.session_transaction() as session:
        proved_at = session["fs_paa"]
    assert failures(app) == 3
    for _ in range(2):
        post(member, "/users/verify", password="wrong password")
    right, wrong = (
        post(member, "/users/verify", password=password) for password in (PASSWORD, "wrong one")
    )
    assert (right.status_code, bare(right.text)) == (422, bare(wrong.text))
    assert member.get("/users/change").location.startswith("/users/verify")
    with member.session_transaction() as session:
        assert session["fs_paa"] == proved_at

    set_wait(app, -timedelta(seconds=1))
    assert post(member, "/users/verify", password=PASSWORD).status_code == 302
    assert member.get("/users/change").status_code == 200


def test_the_password_asked_for_a_new_one_is_guarded_too(app: Flask, member: FlaskClient) -> None:
    for _ in range(5):
        answer = post(member, "/users/change", **new_password("wrong password"))
        assert answer.status_code == 422
    assert failures(app) == 5
    right, wrong = (
        post(member, "/users/change", **new_password(password))
        for password in (PASSWORD, "wrong one")
    )
    assert (right.status_code, bare(right.text)) == (422, bare(wrong.text))
    short = {"new_password": "short", "new_password_confirm": "short"}
    answer = post(member, "/users/change", password=PASSWORD, **short)
    assert "Use at least" not in answer.text, "which would say that the password is right"

    set_wait(app, None)
    assert sign_in(app.test_client(), EMAIL).status_code == 302
    assert post(member, "/users/change", **new_password(PASSWORD)).status_code == 302


def test_a_new_password_that_is_refused_is_no_guess(app: Flask, member: FlaskClient) -> None:
    short = {"new_password": "short", "new_password_confirm": "short"}
    assert post(member, "/users/change", password=PASSWORD, **short).status_code == 422
    assert post(member, "/users/change", **new_password("")).status_code == 422
    assert failures(app) == 0


@pytest.fixture
def halfway(app: Flask, member: FlaskClient) -> tuple[FlaskClient, TOTP, list[str]]:
    """Return a client between the two factors, the app, and the recovery codes."""
    phone, codes = turn_on(member)
    client = app.test_client()
    assert sign_in(client, EMAIL).location.startswith(CODE)
    return client, phone, codes


@pytest.mark.parametrize(("path", "wrong"), [(CODE, "000000"), (RECOVERY, "0000-0000-0000")])
def test_wrong_codes_lead_to_a_wait_in_which_no_right_one_counts(
    app: Flask, halfway: tuple[FlaskClient, TOTP, list[str]], path: str, wrong: str
) -> None:
    client, phone, codes = halfway
    for count in range(1, 6):
        assert post(client, path, code=wrong).status_code == 422
        assert failures(app) == count
    refused = bare(post(client, path, code=wrong).text)
    for other in (CODE, RECOVERY):
        post(client, other, code=wrong)
    right = post(client, path, code=phone.now() if path == CODE else codes[0])
    assert (right.status_code, bare(right.text)) == (422, refused)
    assert not is_in(client)
    assert sign_in(app.test_client(), EMAIL).status_code == 422, "the first factor waits as well"
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(RecoveryCode)) == 10

    set_wait(app, -timedelta(seconds=1))
    assert post(client, path, code=phone.now() if path == CODE else codes[0]).status_code == 302
    assert is_in(client)
    assert failures(app) == 0


def test_the_first_factor_does_not_forget_wrong_codes(
    app: Flask, halfway: tuple[FlaskClient, TOTP, list[str]]
) -> None:
    client, *_ = halfway
    for _ in range(4):
        post(client, CODE, code="000000")
    again = app.test_client()
    assert sign_in(again, EMAIL).location.startswith(CODE)
    post(again, CODE, code="000000")
    with app.app_context():
        assert user_of(EMAIL).locked_until


@pytest.mark.parametrize("path", [CODE, RECOVERY])
def test_two_factors_that_are_turned_off_meanwhile_ask_for_a_new_sign_in(
    app: Flask, halfway: tuple[FlaskClient, TOTP, list[str]], path: str
) -> None:
    client, phone, codes = halfway
    with app.app_context():
        turn_off(user_of(EMAIL))
        db.session.commit()
    answer = post(client, path, code=phone.now() if path == CODE else codes[0])
    assert answer.status_code == 422
    assert "Sign in once more." in answer.text
    assert failures(app) == 0
    assert sign_in(client, EMAIL).location == "/"


def test_a_new_password_by_mail_ends_the_wait_but_forgets_no_wrong_code(
    app: Flask, halfway: tuple[FlaskClient, TOTP, list[str]]
) -> None:
    client, phone, _ = halfway
    for _ in range(5):
        post(client, CODE, code="000000")
    post(client, "/users/reset", email=EMAIL)
    reset = link(app, "reset", "reset_link")
    assert post(client, reset, password=NEW, password_confirm=NEW).status_code == 302
    assert sign_in(client, EMAIL, NEW).location.startswith(CODE), "the wait is over"
    post(client, CODE, code="000000")
    assert failures(app) == 6
    set_wait(app, None)
    assert post(client, CODE, code=phone.now()).status_code == 302
    assert failures(app) == 0
