"""A device with a passkey, made of the cryptography that real ones use."""

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from html import unescape
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.auth.models import Passkey
from app.extensions import db
from tests.support import post

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
    """Return what the passkeys are called, in the order in which they were added."""
    with app.app_context():
        return list(db.session.scalars(select(Passkey.name).order_by(Passkey.id)))
