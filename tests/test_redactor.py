"""What is taken out of a line of a log, and what stays."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.logging import Redactor
from tests.redaction_support import (
    ADDRESS,
    NEW,
    PASSPHRASE,
    PASSWORD,
    SECRET_KEY,
    SIGNED,
    TOKEN,
    assert_clean,
)


@pytest.mark.parametrize(
    "text",
    [
        f"password={TOKEN}",
        f"passwd: {TOKEN}",
        f"the new_password is set, password_confirm={TOKEN}&next=/",
        f"GET /users/reset?token={TOKEN} HTTP/1.1",
        f'{{"password": "{PASSWORD}", "page": 1}}',
        f'{{"password": "a\\"{TOKEN}"}}',
        f'"{{\\"api_key\\": \\"{TOKEN}\\"}}"',
        repr({"password": PASSWORD}),
        repr({"password": [PASSWORD, NEW]}),
        repr({"password": b"soup " + TOKEN.encode()}),
        repr({"SECRET_KEY": SECRET_KEY, "SALT": TOKEN}),
        repr([("email", ADDRESS), ("password", PASSWORD), ("csrf_token", SIGNED)]),
        repr({"HTTP_COOKIE": f"session={SIGNED}; theme={TOKEN}"}),
        f"Cookie: theme={TOKEN}; session={SIGNED}\r\nHost: example.com",
        f"Set-Cookie: {TOKEN}",
        f"Authorization: Token {TOKEN}",
        f"Authorization: Basic {TOKEN}==",
        f"sent with bearer {TOKEN}",
        f"recovery-code = '{TOKEN}'",
        f"password='{TOKEN} never closed",
        f"password={PASSPHRASE}",
        f"password={PASSWORD}",
        f"password: {PASSWORD}",
        f"new_password = {PASSWORD}\nnext line",
        f"cannot sign in, passphrase: {PASSPHRASE}, for user 7",
        f"The client's secret: {PASSPHRASE}",
        f"password='{TOKEN}'and {PASSPHRASE}",
        f"password=[{PASSPHRASE}",
        f"password=don't tell, {PASSPHRASE}",
        f"GET /users/login?new-password={TOKEN}&secret={TOKEN} HTTP/1.1",
        f"/users/confirm/{SIGNED}",
        f"/users/reset/.{SIGNED}?next=/",
        f"postgresql://scott:{TOKEN}@db.example.com:5432/app",
        f"redis://:{TOKEN}@127.0.0.1/0",
        f"amqp://guest:p@ss{TOKEN}@rabbit//",
        f"signed with {SECRET_KEY}!",
        f"mail for {ADDRESS}, and <{ADDRESS}>",
        f"/users/register/{quote(ADDRESS)}",
        f"email={ADDRESS}&email={quote(ADDRESS, safe='')}",
        f"Key (email)=({ADDRESS}) already exists.",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    redacted = Redactor([SECRET_KEY])(text)
    assert_clean(redacted)
    assert redacted != text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Index page loading", "Index page loading"),
        ("User 7 signed in", "User 7 signed in"),
        ("Wrong password for user 7", "Wrong password for user 7"),
        ("The CSRF token is missing.", "The CSRF token is missing."),
        ("GET /?token=abc&page=2 HTTP/1.1", "GET /?token=[redacted]&page=2 HTTP/1.1"),
        (
            "GET /?user_password=abc&page=2 HTTP/1.1",
            "GET /?user_password=[redacted]&page=2 HTTP/1.1",
        ),
        ("/?a=1&secret=x&page=2 took 3 ms", "/?a=1&secret=[redacted]&page=2 took 3 ms"),
        ("password: a pot of soup\nnext line", "password: [redacted]\nnext line"),
        ("password='a pot' for user 7", "password=[redacted] for user 7"),
        ("ada@example.com", "a***@example.com"),
        ("a%40example.com", "a***%40example.com"),
        ("jürgen@example.com", "j***@example.com"),
        ("postgresql://u:pw@host:5432/db", "postgresql://u:[redacted]@host:5432/db"),
        ("http://host:80/path?a=b", "http://host:80/path?a=b"),
        ("{'page': '1', 'token': 'x', 'size': 3}", "{'page': '1', 'token': [redacted], 'size': 3}"),
        ("sqlalchemy.engine.Engine app.core.logging", "sqlalchemy.engine.Engine app.core.logging"),
    ],
)
def test_what_is_no_secret_stays(text: str, expected: str) -> None:
    assert Redactor()(text) == expected


def test_the_password_inside_a_configured_address_is_known() -> None:
    redact = Redactor(["postgresql://scott:tiger%2Fwoods@db/app"])
    assert redact("tried tiger%2Fwoods and tiger/woods") == "tried [redacted] and [redacted]"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=4))
def test_any_quoted_password_is_taken_out(soup: str) -> None:
    secret = f"Tr0ub4dor{soup}Tr0ub4dor"
    for text in (repr({"password": secret}), json.dumps({"password": secret})):
        assert "Tr0ub4dor" not in Redactor()(text)


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = Redactor()(text)
    assert Redactor()(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a.",
        "token",
        "token'",
        'password="',
        "://a:",
        "%40",
        "é",
        "aaaaaaaa.",
        "cookie:",
        "?",
        "&password",
        "?a",
        "secret:",
        "secret =\n",
        "secret=\\'x\n",
    ],
)
def test_a_long_text_is_redacted_in_linear_time(unit: str) -> None:
    """A visitor chooses the text, in a path for example; quadratic time would take minutes."""
    Redactor()(unit * 100_000)
    Redactor()(unit * 100_000 + "'a")
