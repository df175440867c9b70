"""Tokens and addresses in the path of a page stay out of the Referer of what follows it."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask_security.recoverable import generate_reset_password_token

from tests.auth_support import add_user, user_of
from tests.support import csrf_token
from tests.test_auth_password import NEW

EMAIL = "ada@example.com"
HTTPS = "https://localhost"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """Return an application that ada@example.com has an account at."""
    app = make_app()
    add_user(app, EMAIL)
    return app


def link(app: Flask) -> str:
    with app.test_request_context():
        return f"/users/reset/{generate_reset_password_token(user_of(EMAIL))}"


def test_pages_with_a_token_or_an_address_tell_their_origin_alone(app: Flask) -> None:
    client = app.test_client()
    for path in (link(app), f"/users/register/{EMAIL}", "/users/change-email/undo/abc"):
        answer = client.get(path)
        assert answer.headers["Referrer-Policy"] == "strict-origin", path
    assert client.get("/users/login").headers["Referrer-Policy"] == "same-origin"


def test_such_a_page_can_be_sent_over_https(app: Flask) -> None:
    client, path = app.test_client(), link(app)
    fields = {
        "csrf_token": csrf_token(client, path),
        "password": NEW,
        "password_confirm": NEW,
    }
    for referer, status in ((None, 400), ("https://evil.example/", 400), (f"{HTTPS}/", 302)):
        headers = {"Referer": referer} if referer else {}
        answer = client.post(path, base_url=HTTPS, data=fields, headers=headers)
        assert answer.status_code == status, referer
