"""Passkeys, with a device made of the cryptography that real ones use."""

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from html import unescape
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.models import Passkey, User
from app.extensions import db
from tests.support import Inbox, csrf_token, post, text_of
from tests.test_auth import add_user, queued, sign_in
from tests.test_auth_address import change
from tests.test_auth_password import grow_old, is_in

SIGN_IN, LIST, VERIFY = "/users/passkeys/sign-in", "/users/passkeys", "/users/passkeys/verify"
REFUSED = "This passkey could not be verified."


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """A device with one passkey, which does as it is told."""

    def __init__(self) -> None:
        """Make the key."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.count = 0
        self.owner = b""

    def _client(self, kind: str, options: dict[str, Any], origin: str) -> bytes:
        fields = {"type": kind, "challenge": options["challenge"], "origin": origin}
        return json.dumps(fields).encode()

    def _about(self, flags: int) -> bytes:
        self.count += 1
        return hashlib.sha256(b"localhost").digest() + bytes([flags]) + self.count.to_bytes(4)

    def create(self, options: dict[str, Any], origin: str = "http://localhost") -> dict[str, Any]:
        """Return what the browser passes on when the passkey is made."""
        self.owner = urlsafe_b64decode(options["user"]["id"] + "==")
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        about = self._about(0x45) + bytes(16) + len(self.id).to_bytes(2) + self.id
        about += cbor2.dumps(public)
        attestation = {"fmt": "none", "attStmt": {}, "authData": about}
        fields = {
            "clientDataJSON": encode(self._client("webauthn.create", options, origin)),
            "attestationObject": encode(cbor2.dumps(attestation)),
            "transports": ["internal"],
        }
        return self._named(fields)

    def get(
        self, options: dict[str, Any], origin: str = "http://localhost", flags: int = 0x05
    ) -> dict[str, Any]:
        """Return what the browser passes on when the passkey is used."""
        client, about = self._client("webauthn.get", options, origin), self._about(flags)
        signed = about + hashlib.sha256(client).digest()
        fields = {
            "clientDataJSON": encode(client),
            "authenticatorData": encode(about),
            "signature": encode(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": encode(self.owner),
        }
        return self._named(fields)

    def _named(self, fields: dict[str, Any]) -> dict[str, Any]:
        name = encode(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "response": fields}


def start(client: FlaskClient, path: str, **fields: str) -> tuple[str, dict[str, Any]]:
    """Take the first step at `path`; return where the answer goes, and what is asked."""
    page = post(client, path, **fields).text
    action = re.search(r'<form method="post" action="([^"]+)" data-passkey', page)
    options = re.search(r'data-options="([^"]+)"', page)
    assert action, page
    assert options
    return unescape(action[1]), json.loads(unescape(options[1]))


def send(client: FlaskClient, action: str, answer: object, **fields: str):
    form = "/users/login" if "sign-in" in action else "/users/"
    return post(client, action, form=form, credential=json.dumps(answer), **fields)


def add(client: FlaskClient, name: str = "my phone") -> Device:
    """Add a passkey for who has signed in at `client`."""
    device = Device()
    action, options = start(client, LIST, name=name)
    assert send(client, action, device.create(options)).location == LIST
    assert f"The passkey {name} is added." in client.get(LIST).text
    return device


def names(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Passkey.name).order_by(Passkey.id)))


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
