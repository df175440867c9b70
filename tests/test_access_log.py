"""The line that each request leaves in the log."""

import logging
import re

import pytest
from flask import Flask

from app import create_app

TOKEN = "dG9rZW4.bm90LXJlYWxseQ.c2lnbmVkLWJ5LW5vYm9keS1hdC1hbGw"


def lines_of(app: Flask, path: str, caplog: pytest.LogCaptureFixture, **headers: str) -> list[str]:
    """Return what a GET of `path` leaves in the log of requests."""
    with caplog.at_level(logging.INFO, "app.core.requests"):
        app.test_client().get(path, headers=headers)
    return [record.getMessage() for record in caplog.records if record.module == "requests"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/", "GET / 200 in"),
        ("/?token=secret&page=2", "GET / 200 in"),
        ("/nothing/here?q=secret", "GET /nothing/here 404 in"),
        (f"/users/confirm/{TOKEN}", "GET /users/confirm/<token> 302 in"),
        (f"/users/reset/{TOKEN}?next=/", "GET /users/reset/<token> 302 in"),
        (f"/users/change-email/undo/{TOKEN}", "GET /users/change-email/undo/<token> 410 in"),
        ("/users/logout", "GET /users/logout 405 in"),
    ],
)
def test_each_request_has_one_line_without_its_secrets(
    app: Flask, caplog: pytest.LogCaptureFixture, path: str, line: str
) -> None:
    (found,) = lines_of(app, path, caplog)
    assert re.fullmatch(re.escape(line) + r" \d+ ms", found)


def test_the_development_server_adds_no_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    create_app("config.TestingConfig")
    logger = logging.getLogger("werkzeug")
    logger.warning('127.0.0.1 - - [01/Jan/2026 00:00:00] "%s" %s %s', "GET / HTTP/1.1", 200, "-")
    logger.warning(" * Running on http://127.0.0.1:5000")
    (line,) = capsys.readouterr().out.splitlines()
    assert "Running on" in line
