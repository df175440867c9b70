"""Which passwords are accepted, and how they are kept."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth import passwords
from app.auth.models import User
from app.extensions import db
from tests.auth_support import PASSWORD, add_user, sign_in
from tests.support import post


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("password1", "Many people use this password"),
        ("PassWord123", "Many people use this password"),
        ("qwertyuiop", "Many people use this password"),
        ("ada.lovelace@example.com", "too close to your address"),
        ("Ada.Lovelace1815", "too close to your address"),
        ("12example.com3", "too close to your address"),
        ("1234567", "Use at least 8 characters."),
        ("p" * 129, "Use at most 128 characters."),
    ],
)
def test_passwords_that_are_guessed_first_are_refused(
    app: Flask, client: FlaskClient, password: str, words: str
) -> None:
    response = post(client, "/users/register", email="ada.lovelace@example.com", password=password)
    assert response.status_code == 422
    assert words in response.text
    with app.app_context():
        assert db.session.scalars(select(User)).all() == []


@pytest.mark.parametrize(
    "password",
    ["soup ada.lovelace soup", "паролькакой-то", "12 34 56 78", "p" * 128, "only lower case"],
)
def test_passwords_of_any_kind_of_characters_are_accepted(
    client: FlaskClient, password: str
) -> None:
    response = post(client, "/users/register", email="ada.lovelace@example.com", password=password)
    assert response.status_code == 302


def test_a_short_part_of_an_address_is_no_reason_to_refuse() -> None:
    assert not passwords.is_made_of("ada-1234", "ada@x.io")
    assert not passwords.is_made_of("anything", "")


def test_the_list_is_clean() -> None:
    words = passwords.COMMON.read_text(encoding="utf-8").splitlines()
    assert len(words) > 2000
    assert words == sorted(set(words))
    assert [word for word in words if word != word.casefold() or len(word) < 8] == []


def test_a_hash_with_other_parameters_is_made_anew_at_the_next_sign_in(
    make_app: Callable[..., Flask],
) -> None:
    weak = make_app()
    add_user(weak, "ada@example.com")
    strong = make_app(
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={
            "argon2__time_cost": 2,
            "argon2__memory_cost": 128,
        }
    )
    assert sign_in(strong.test_client(), "ada@example.com").status_code == 302
    with strong.app_context():
        stored = db.session.scalars(select(User.password)).one()
    assert stored
    assert "m=128,t=2" in stored
    assert sign_in(strong.test_client(), "ada@example.com", PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/users/login", ["username", "current-password"]),
        ("/users/register", ["email", "new-password"]),
    ],
)
def test_password_managers_know_what_to_fill_in(
    client: FlaskClient, path: str, wanted: list[str]
) -> None:
    page = client.get(path).text
    for value in wanted:
        assert f'autocomplete="{value}"' in page
