"""No password, token, cookie, secret or full address gets into a log, whatever happens."""

import http.client
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from tests.log_support import own_handlers  # noqa: F401 - a fixture for every test here
from tests.redaction_support import (
    ADDRESS,
    NEW,
    PASSWORD,
    SECRET_KEY,
    SIGNED,
    TOKEN,
    WRONG,
    assert_clean,
)
from tests.support import Inbox, Process, answers, free_port, link_in, post, wait_until

MakeApp = Callable[..., Flask]


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
    reset = link_in(inbox.wait_for_subject(ADDRESS, "Set a new password"))
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
