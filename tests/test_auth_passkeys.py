"""Passkeys: what they are for, how they are named, and how they go."""

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.auth.lockout import TRIES
from tests.passkey_support import LIST, SIGN_IN, VERIFY, Device, add, names, send, start
from tests.support import Inbox, csrf_token, post, text_of
from tests.test_auth import add_user, queued, sign_in
from tests.test_auth_address import change
from tests.test_auth_password import grow_old, is_in


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user whose password is PASSWORD."""
    return add_user(app, "ada@example.com")


@pytest.fixture
def device(app: Flask, user: str) -> Device:
    """Return a device with a passkey of `user`."""
    client = app.test_client()
    sign_in(client, user)
    return add(client)


def test_whole_life_of_a_passkey(live_app: Flask, inbox: Inbox) -> None:
    email = add_user(live_app, "ada@example.com")
    client = live_app.test_client()
    sign_in(client, email)
    device = add(client)
    mail = inbox.wait_for_subject(email, "A passkey was added")
    assert "“my phone”" in text_of(mail)
    assert "at the address 127.0.0.1" in text_of(mail)

    other = live_app.test_client()
    action, options = start(other, SIGN_IN)
    assert options["allowCredentials"] == [], "nobody learns who has a passkey"
    assert options["userVerification"] == "required"
    assert send(other, action, device.get(options)).location == "/"
    assert is_in(other)
    other.delete_cookie("session")
    assert not is_in(other), "nobody asked to stay signed in"

    action, options = start(other, SIGN_IN, remember="y")
    send(other, action, device.get(options), remember="True")
    other.delete_cookie("session")
    assert is_in(other)

    post(client, "/users/passkeys/remove", form=LIST, name="my phone")
    inbox.wait_for_subject(email, "A passkey was removed")
    action, options = start(live_app.test_client(), SIGN_IN)
    stranger = live_app.test_client()
    action, options = start(stranger, SIGN_IN)
    assert send(stranger, action, device.get(options)).location == SIGN_IN
    assert not is_in(stranger)


def test_any_kind_of_device_may_hold_a_passkey(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    _, options = start(client, LIST, name="my computer")
    chosen = options["authenticatorSelection"]
    assert "authenticatorAttachment" not in chosen
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    assert options["rp"] == {"name": "Stockpot", "id": "localhost"}


def test_a_passkey_confirms_who_is_there(client: FlaskClient, user: str, device: Device) -> None:
    sign_in(client, user)
    grow_old(client)
    page = client.get("/users/verify?next=/users/change").text
    assert 'href="/users/passkeys/verify?next=/users/change"' in page
    action, options = start(client, f"{VERIFY}?next=/users/change")
    answer = send(client, action, device.get(options))
    assert answer.location == "/users/change"
    assert client.get("/users/change").status_code == 200


def test_wrong_passwords_of_others_hold_up_no_passkey(
    app: Flask, client: FlaskClient, user: str, device: Device
) -> None:
    for _ in range(TRIES):
        sign_in(app.test_client(), user, "wrong password")
    assert sign_in(client, user).status_code == 422, "the right password has to wait"
    action, options = start(client, SIGN_IN)
    assert send(client, action, device.get(options)).location == "/"
    assert is_in(client)
    for _ in range(TRIES):
        sign_in(app.test_client(), user, "wrong password")
    grow_old(client)
    action, options = start(client, f"{VERIFY}?next=/users/change")
    assert send(client, action, device.get(options)).location == "/users/change"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "Give the passkey a name."),
        ("x" * 65, "64 characters"),
        ("<b>phone</b>", "Use letters, digits"),
        ("a\x07b", "Use letters, digits"),
        ("my phone", "You have a passkey with the name my phone."),
    ],
)
def test_bad_names_are_explained(
    client: FlaskClient, user: str, device: Device, name: str, words: str
) -> None:
    sign_in(client, user)
    answer = post(client, LIST, name=name)
    assert answer.status_code == 422
    assert words in answer.text


def test_a_name_with_accents_can_be_removed(app: Flask, client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    action, options = start(client, LIST, name="Zoé's téléphone")
    send(client, action, Device().create(options))
    found = re.search(r'name="name" value="([^"]+)"', client.get(LIST).text)
    assert found
    post(client, "/users/passkeys/remove", form=LIST, name=unescape(found[1]))
    assert names(app) == []


def test_nobody_removes_a_passkey_of_another_user(
    app: Flask, client: FlaskClient, user: str, device: Device
) -> None:
    sign_in(client, add_user(app, "eve@example.com"))
    post(client, "/users/passkeys/remove", form=LIST, name="my phone")
    assert names(app) == ["my phone"]


def test_an_old_sign_in_is_asked_for_the_password(
    app: Flask, client: FlaskClient, user: str, device: Device
) -> None:
    sign_in(client, user)
    grow_old(client)
    assert client.get(LIST).location.startswith("/users/verify")
    for path in (LIST, "/users/passkeys/remove"):
        assert post(client, path, form="/users/", name="my phone").location.startswith(
            "/users/verify"
        )
    assert names(app) == ["my phone"]


def test_taking_an_address_back_removes_passkeys_added_since(
    app: Flask, client: FlaskClient, user: str, device: Device
) -> None:
    sign_in(client, user)
    path = change(app, client)
    add(client, "thief")
    post(app.test_client(), path)
    assert names(app) == ["my phone"]


def test_no_side_door_for_json(app: Flask, client: FlaskClient, user: str) -> None:
    headers = {"X-CSRFToken": csrf_token(client), "Accept": "application/json"}
    for path in (SIGN_IN, f"{SIGN_IN}/x"):
        answer = client.post(path, json={"credential": "x"}, headers=headers)
        assert answer.mimetype == "text/html"
        assert "csrf_token" not in answer.headers
    assert queued(app) == 0
