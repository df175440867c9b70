"""Answers of passkeys that are no good: of another site or user, copied, or not readable."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.models import User
from app.extensions import db
from tests.passkey_support import LIST, SIGN_IN, VERIFY, Device, add, encode, names, send, start
from tests.support import post
from tests.test_auth import add_user, sign_in
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


def test_a_passkey_of_another_user_confirms_nothing(
    app: Flask, client: FlaskClient, user: str, device: Device
) -> None:
    eve = app.test_client()
    sign_in(eve, add_user(app, "eve@example.com"))
    grow_old(eve)
    action, options = start(eve, VERIFY)
    assert send(eve, action, device.get(options)).location == VERIFY
    assert eve.get("/users/change").location.startswith("/users/verify")


@pytest.mark.parametrize(
    "case",
    [
        *("origin", "counter", "handle", "unverified", "signature", "unknown", "again", "browser"),
        *("late", "closed", "empty", "list", "nothing", "text", "cbor"),
    ],
)
def test_answers_that_are_no_good_sign_nobody_in(
    app: Flask,
    client: FlaskClient,
    device: Device,
    case: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    action, options = start(client, SIGN_IN)
    device.count += {"counter": -1}.get(case, 0)
    device.owner = b"somebody else" if case == "handle" else device.owner
    device.id = b"unknown" if case == "unknown" else device.id
    origin = "https://evil.example" if case == "origin" else "http://localhost"
    answer: Any = device.get(options, origin, 0x01 if case == "unverified" else 0x05)
    if case == "signature":
        answer["response"]["signature"] = encode(b"no signature")
    elif case == "cbor":
        answer["response"]["authenticatorData"] = encode(b"\xff" * 40)
    elif case == "closed":
        with app.app_context():
            db.session.scalars(select(User)).one().active = False
            db.session.commit()
    elif case == "late":
        monkeypatch.setitem(
            app.config, "SECURITY_WAN_SIGNIN_WITHIN", -app.config["SECURITY_WAN_SIGNIN_WITHIN"]
        )
    elif case == "browser":
        start(client, SIGN_IN)
    elif case == "again":
        assert send(client, action, answer).location == "/"
        post(client, "/users/logout", form="/")
    answer = {"empty": {}, "list": [], "nothing": None, "text": "passkey"}.get(case, answer)
    response = send(client, action, answer)
    assert response.location == SIGN_IN
    assert not is_in(client)
    page = client.get(SIGN_IN).text
    assert "evil.example" not in page
    assert "Traceback" not in page


@pytest.mark.parametrize("case", ["origin", "again", "browser", "user", "cbor", "text", "twice"])
def test_answers_that_are_no_good_add_nothing(
    app: Flask, client: FlaskClient, user: str, case: str
) -> None:
    sign_in(client, user)
    device = Device()
    action, options = start(client, LIST, name="my phone")
    answer: Any = device.create(
        options, "https://evil.example" if case == "origin" else "http://localhost"
    )
    expected: list[str] = []
    if case == "again":
        send(client, action, answer)
        expected = ["my phone"]
    elif case == "twice":
        send(client, action, answer)
        action, options = start(client, LIST, name="copy")
        answer, expected = device.create(options), ["my phone"]
    elif case == "browser":
        start(client, LIST, name="my phone")
    elif case == "user":
        client = app.test_client()
        sign_in(client, add_user(app, "eve@example.com"))
    elif case == "cbor":
        answer["response"]["attestationObject"] = encode(b"\xff" * 40)
    elif case == "text":
        answer = "passkey"
    assert send(client, action, answer).location == LIST
    assert names(app) == expected
