"""No password, token, cookie, secret or full address gets into a log."""

import http.client
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from app.core.logging import Redactor
from tests.support import Inbox, Process, answers, free_port, link_in, post, wait_until

PASSWORD = "Tr0ub4dor&3 and soup"
PASSPHRASE = "a stockpot full of soup"
WRONG = "wrong-Tr0ub4dor"
PARTS = ["and soup", "stockpot full"]  # what is left when only the first word is taken out
NEW = "another-Tr0ub4dor&4"
TOKEN = "deadbeefcafe0123456789"
ADDRESS = "ada.lovelace@example.com"
SECRET_KEY = "a-secret-key-that-signs-everything"
SIGNED = "WyJhIiwiYiJd.awNljg.SvsoD_qzTu0m54PA0f-tVh7H3Jc"
MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def own_handlers(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Leave no handler behind; what `capsys` reads is what a test's own applications print."""
    yield
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()


def assert_clean(log: str, *more: str) -> None:
    """Check that nothing is in `log` that has no business there."""
    secrets = [
        PASSWORD,
        PASSPHRASE,
        *PARTS,
        WRONG,
        NEW,
        TOKEN,
        ADDRESS,
        SECRET_KEY,
        SIGNED,
        "ada.lovelace",
        *more,
    ]
    for secret in secrets:
        for form in {secret, quote(secret), unquote(secret), json.dumps(secret)[1:-1]}:
            assert form not in log


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


@pytest.fixture(params=["text", "json"])
def make_logging_app(
    request: pytest.FixtureRequest, make_app: MakeApp, tmp_path: Path
) -> Callable[..., tuple[Flask, Path]]:
    """Return a function that makes an application and names its log file."""

    def make(**changes: object) -> tuple[Flask, Path]:
        log = tmp_path / "app.log"
        return make_app(LOG_FILE=log, LOG_FORMAT=request.param, **changes), log

    return make


def test_nothing_leaks_over_the_life_of_an_account(
    make_logging_app: Callable[..., tuple[Flask, Path]],
    live_app: Flask,
    worker: Process,
    inbox: Inbox,
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = {name: live_app.config[name] for name in ("CELERY_BROKER_URL", "DATABASE_URL")}
    app, log = make_logging_app(**live, LOG_LEVEL="DEBUG")
    client = app.test_client()
    post(client, "/users/register", email=ADDRESS, password=PASSWORD)
    confirmation = link_in(inbox.wait_for(ADDRESS))
    client.get(confirmation)
    post(client, "/users/register", email=ADDRESS, password=PASSWORD)
    post(client, "/users/login", email=ADDRESS, password=WRONG)
    post(client, "/users/login", email=ADDRESS, password=PASSWORD, remember="y")
    cookies = [client.get_cookie(name) for name in ("session", "remember_token")]
    post(client, "/users/logout", form="/")
    post(client, "/users/reset", email=ADDRESS)
    reset = link_in(inbox.wait_for(ADDRESS, 3))
    post(client, reset, password=NEW, password_confirm=NEW)
    post(client, "/users/login", email=ADDRESS, password=NEW)
    console = capsys.readouterr()
    lines = console.out.splitlines()
    for event in ("signed up", "Wrong password", "signed in", "signed out", "set a new password"):
        assert any(event in line for line in lines), event
    tokens = [path.rpartition("/")[2] for path in (confirmation, reset)]
    values = [cookie.value for cookie in cookies if cookie]
    assert len(values) == 2
    for place in (console.out, console.err, log.read_text(encoding="utf-8"), worker.output):
        assert_clean(place, *tokens, *values)


def boom() -> str:
    """Fail as a careless developer's view would: with everything it knows in the message."""
    try:
        try:
            raise ValueError(f"no user {ADDRESS} with password={request.form['password']!r}")
        except ValueError as error:
            raise KeyError(str(request.headers)) from error
    except KeyError as error:
        raise RuntimeError(request.form, dict(request.headers), request.environ) from error
    finally:
        logging.getLogger("careless").error(
            "%s", request.form, exc_info=True, stack_info=True, extra={"form": request.form}
        )


def test_nothing_leaks_from_exceptions(
    make_logging_app: Callable[..., tuple[Flask, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    app, log = make_logging_app(SECRET_KEY=SECRET_KEY)
    app.config["WTF_CSRF_ENABLED"] = False
    app.add_url_rule("/boom", view_func=boom, methods=["POST"])
    database = app.config["DATABASE_URL"]
    client = FlaskClient(app, use_cookies=False)
    client.post(
        f"/boom?token={TOKEN}",
        data={"email": ADDRESS, "password": PASSWORD},
        headers={"Authorization": f"Bearer {TOKEN}", "Cookie": f"session={SIGNED}; t={TOKEN}"},
    )
    app.logger.error("Cannot connect to %s with %s", database, SECRET_KEY)
    app.logger.error({"password": PASSWORD, "database": database})
    console = capsys.readouterr()
    assert "RuntimeError" in console.out
    assert "KeyError" in console.out
    for place in (console.out, console.err, log.read_text(encoding="utf-8")):
        assert_clean(place, database)


@pytest.fixture(params=["text", "json"])
def served(
    request: pytest.FixtureRequest, settings: dict[str, object], tmp_path: Path
) -> Iterator[tuple[Process, int, Path]]:
    """Return a `flask run` process, its port and its log file."""
    port, log = free_port(), tmp_path / "app.log"
    environment = {
        **os.environ,
        **{name: str(value) for name, value in settings.items()},
        "CONFIG_TYPE": "config.TestingConfig",
        "LOG_FILE": str(log),
        "LOG_FORMAT": request.param,
        "FLASK_SKIP_DOTENV": "1",  # else the developer's .env would count
        "FLASK_APP": "application",
    }
    process = Process([sys.executable, "-m", "flask", "run", "--port", str(port)], environment)
    try:
        wait_until(lambda: answers(port), "flask run answers")
        yield process, port, log
    finally:
        process.kill()


def test_nothing_leaks_into_the_access_log(served: tuple[Process, int, Path]) -> None:
    process, port, log = served
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"session={SIGNED}; t={TOKEN}"}
    paths = [
        f"/users/confirm/{SIGNED}",
        f"/users/reset/{SIGNED}",
        f"/users/register/{quote(ADDRESS)}",
        f"/users/register/{ADDRESS}",
        f"/users/login?email={quote(ADDRESS)}&password={quote(PASSWORD)}&token={TOKEN}",
        f"/nowhere?next=http://ada:{TOKEN}@example.com/",
    ]
    for path in paths:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().status in (200, 302, 404)
        connection.close()
    process.wait_for("GET /nowhere")
    assert process.output.count("GET /") == len(paths), "nothing is doubled"
    for place in (process.output, log.read_text(encoding="utf-8")):
        assert_clean(place)
