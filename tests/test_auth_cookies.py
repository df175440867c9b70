"""Cookies as production sets them, read as browsers do: `__Host-` has conditions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import config
from settings import ConfigurationError
from tests.auth_support import add_user, sign_in
from tests.support import post
from tests.test_auth_password import is_in
from tests.test_config import COMPLETE, PRODUCTION

EMAIL = "ada@example.com"
COOKIES = {
    name: getattr(config.ProductionConfig, name)
    for name in dir(config.ProductionConfig)
    if name.startswith(("SESSION_COOKIE_", "REMEMBER_COOKIE_"))
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """Return an application with the cookies of production."""
    return make_app(**COOKIES)


def kept(response: TestResponse) -> dict[str, str]:
    """Return the cookies of a response that a browser would take, empty where they are deleted."""
    cookies = {}
    for header in response.headers.getlist("Set-Cookie"):
        first, *rest = header.split("; ")
        name, _, value = first.partition("=")
        attributes = {part.partition("=")[0] for part in rest}
        assert name.startswith("__Host-"), header
        if "Secure" in attributes and "Path=/" in rest and "Domain" not in attributes:
            assert {"HttpOnly", "SameSite=Lax"} <= set(rest), header
            cookies[name] = "" if "Max-Age=0" in rest else value
    return cookies


def test_every_cookie_is_for_this_host_and_https_alone(app: Flask) -> None:
    add_user(app, EMAIL)
    client = app.test_client()
    cookies = kept(sign_in(client, EMAIL, remember="y"))
    assert set(cookies) == {"__Host-session", "__Host-remember_token", "__Host-device"}
    assert is_in(client)
    client.delete_cookie("__Host-session")
    assert is_in(client), "remembered"


def test_signing_out_takes_the_cookie_away_that_stays(app: Flask) -> None:
    add_user(app, EMAIL)
    client = app.test_client()
    sign_in(client, EMAIL, remember="y")
    assert kept(post(client, "/users/logout", form="/"))["__Host-remember_token"] == ""
    assert not is_in(client)


def test_a_known_browser_is_known_by_that_name(app: Flask) -> None:
    add_user(app, EMAIL)
    client = app.test_client()
    values = [kept(sign_in(client, EMAIL))["__Host-device"]]
    post(client, "/users/logout", form="/")
    values.append(kept(sign_in(client, EMAIL))["__Host-device"])
    assert values[0] == values[1]


def test_an_application_below_a_path_keeps_its_cookies(make_app: Callable[..., Flask]) -> None:
    app = make_app(**COOKIES, APPLICATION_ROOT="/shop")
    assert "__Host-session" in kept(app.test_client().get("/users/login"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_DOMAIN", "stockpot.example"),
        ("REMEMBER_COOKIE_DOMAIN", ".stockpot.example"),
        ("SESSION_COOKIE_PATH", "/shop"),
        ("REMEMBER_COOKIE_PATH", "/shop"),
        ("SESSION_COOKIE_SECURE", False),
        ("REMEMBER_COOKIE_SECURE", False),
    ],
)
@pytest.mark.parametrize("place", ["argument", "file"])
def test_what_would_make_browsers_drop_them_is_refused(
    name: str, value: object, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "BASE_DIR", tmp_path)
    settings: dict[str, object] = {**COMPLETE}
    if place == "file":
        (tmp_path / "wide.cfg").write_text(f"{name} = {value!r}\n", encoding="utf-8")
        monkeypatch.setenv("CONFIG_FILE", str(tmp_path / "wide.cfg"))
    else:
        settings[name] = value
    with pytest.raises(ConfigurationError, match=f"cannot be used with {name}: cookies"):
        config.load(PRODUCTION, settings)


def test_what_changes_nothing_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "BASE_DIR", tmp_path)
    harmless = {"SESSION_COOKIE_DOMAIN": None, "SESSION_COOKIE_PATH": "/"}
    assert config.load(PRODUCTION, {**COMPLETE, **harmless}).others == harmless
    wide = {"SESSION_COOKIE_DOMAIN": "localhost"}
    assert config.load("config.DevelopmentConfig", wide).others == wide
