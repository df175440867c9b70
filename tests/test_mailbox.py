"""The development mailbox: a real SMTP listener puts mails into a Maildir, pages show them."""

import json
import smtplib
import sys
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from tests.support import Process, answers, csrf_token, free_port, post, wait_until

MALFORMED = [
    b"",
    b"no header at all",
    b"Subject: =?utf-99?b?zzz?=\r\nTo: a@[\r\nMessage-ID: <[\r\n\r\nx",
    b"From: <<<>>>@@,,\r\nDate: yesterday\r\nSubject: \xff\xfe\r\n\r\n\xff",
    b"Content-Type: text/plain; charset=nonsense\r\n\r\nh\xe9",
    b"Content-Type: text/html; charset=idna\r\n\r\n\xff.\xff",
    b"Content-Type: multipart/mixed\r\n\r\nno boundary",
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
]
Send = Callable[[bytes], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mailbox"


@pytest.fixture
def app(folder: Path) -> Flask:
    return create_app("config.TestingConfig", MAILBOX_PATH=folder)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def send(folder: Path) -> Iterator[Send]:
    """Return a function that hands a message to the listener of `Procfile.dev`."""
    port = free_port()
    address = ["-n", "-u", "-l", f"127.0.0.1:{port}"]
    handler = ["-c", "aiosmtpd.handlers.Mailbox", str(folder)]
    listener = Process([sys.executable, "-m", "aiosmtpd", *address, *handler])

    def deliver(raw: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as server:
            server.sendmail("noreply@example.test", ["ada@example.test"], raw)

    try:
        wait_until(lambda: answers(port), "the listener answers")
        yield deliver
    finally:
        listener.kill()


def letter(subject: str) -> bytes:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "noreply@example.test"
    message["To"] = "ada@example.test"
    message["Date"] = "Fri, 14 May 2021 16:14:31 +0000"
    message.set_content("Confirm: http://localhost/users/confirm/abc\n<b>plain</b>\n")
    message.add_alternative("<p style='color:red'>Hello</p><script>1</script>", subtype="html")
    return message.as_bytes()


def mails_in(client: FlaskClient) -> list[dict[str, Any]]:
    return json.loads(client.get("/dev/mailbox.json").text)


def test_mails_are_listed_newest_first_and_shown(client: FlaskClient, send: Send) -> None:
    send(letter("The first"))
    send(letter("The second"))
    page = client.get("/dev/mailbox").text
    assert page.index("The second") < page.index("The first")
    newest = mails_in(client)[0]
    shown = client.get(f"/dev/mailbox/{newest['id']}").text
    assert "The second" in shown
    assert 'href="http://localhost/users/confirm/abc"' in shown
    assert "&lt;b&gt;plain&lt;/b&gt;" in shown


def test_json_gives_the_fields_and_the_links(client: FlaskClient, send: Send) -> None:
    send(letter("Confirm"))
    mail = mails_in(client)[0]
    assert mail["subject"] == "Confirm"
    assert mail["to"] == "ada@example.test"
    assert mail["date"] == "Fri, 14 May 2021 16:14:31 +0000"
    assert mail["links"] == ["http://localhost/users/confirm/abc"]


def test_html_part_can_run_and_load_nothing(client: FlaskClient, send: Send) -> None:
    send(letter("Confirm"))
    key = mails_in(client)[0]["id"]
    response = client.get(f"/dev/mailbox/{key}/html")
    policy = response.headers["Content-Security-Policy"]
    assert "<p style='color:red'>Hello</p>" in response.text
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script" not in policy
    assert "sandbox=" in client.get(f"/dev/mailbox/{key}").text


def test_malformed_mails_do_not_break_the_pages(client: FlaskClient, send: Send) -> None:
    for raw in MALFORMED:
        send(raw)
    send(letter("A good one"))
    assert client.get("/dev/mailbox").status_code == 200
    mails = mails_in(client)
    assert len(mails) == len(MALFORMED) + 1
    for mail in mails:
        assert client.get(f"/dev/mailbox/{mail['id']}").status_code == 200
        assert client.get(f"/dev/mailbox/{mail['id']}/html").status_code == 200


@pytest.mark.parametrize("key", ["..", "%2e%2e%2fsecret", "new", "..%2f..%2fsecret", "a%00b"])
def test_only_keys_of_mails_are_read(
    client: FlaskClient, send: Send, folder: Path, key: str
) -> None:
    (folder.parent / "secret").write_text("treasure")
    send(letter("Confirm"))
    for address in (f"/dev/mailbox/{key}", f"/dev/mailbox/{key}/html"):
        response = client.get(address)
        assert response.status_code in (404, 308)
        assert "treasure" not in response.text


def test_empty_deletes_every_mail_but_only_by_its_form(client: FlaskClient, send: Send) -> None:
    send(letter("Confirm"))
    assert client.post("/dev/mailbox/empty").status_code == 400
    assert len(mails_in(client)) == 1
    assert post(client, "/dev/mailbox/empty", form="/dev/mailbox").status_code == 302
    assert mails_in(client) == []


@pytest.mark.parametrize("inside", ["", "new"], ids=["no Maildir", "an empty one"])
def test_a_mailbox_without_mails_says_so(client: FlaskClient, folder: Path, inside: str) -> None:
    for name in ("", *(("new", "cur", "tmp") if inside else ())):
        (folder / name).mkdir()
    assert "No mail yet" in client.get("/dev/mailbox").text
    assert mails_in(client) == []
    token = csrf_token(client)
    assert client.post("/dev/mailbox/empty", data={"csrf_token": token}).status_code == 302


@pytest.mark.parametrize("path", ["/dev/mailbox", "/dev/mailbox.json", "/dev/mailbox/x"])
def test_it_exists_in_development_only(path: str, production: dict[str, str]) -> None:
    for app in (
        create_app("config.TestingConfig"),
        create_app("config.ProductionConfig", **production),
    ):
        assert "mailbox" not in app.blueprints
        client = app.test_client()
        assert client.get(path, base_url="https://example.test").status_code == 404


@pytest.fixture
def production() -> dict[str, str]:
    secret = "0123456789abcdefghijklmnopqrstuvwxyz"
    return {
        "SECRET_KEY": secret,
        "SECURITY_PASSWORD_SALT": secret[::-1],
        "DATABASE_URL": "postgresql://127.0.0.1:9/none",
        "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
        "REDIS_URL": "memory://",
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_DEFAULT_SENDER": "noreply@stockpot.example",
        "ADMINS": "admin@stockpot.example",
        "TRUSTED_HOSTS": "example.test",
    }
