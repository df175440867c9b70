"""What every response carries, and whom the application believes."""

import re
from pathlib import Path

import pytest
from flask import Flask, render_template_string, request
from flask.testing import FlaskClient
from flask_security import hash_password
from werkzeug.test import TestResponse

from app import create_app
from app.auth.models import User
from app.core.security import HEADERS, asset
from app.extensions import db
from app.models import Base, utcnow
from tests.support import ROOT, post

HTTPS = "https://example.test"
PASSWORD = "a stockpot full of soup"
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
PRODUCTION = {
    "SECRET_KEY": SECRET,
    "SECURITY_PASSWORD_SALT": SECRET[::-1],
    "DATABASE_URL": "postgresql://127.0.0.1:9/none",
    "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
    "REDIS_URL": "memory://",
    "MAIL_SERVER": "127.0.0.1",
    "MAIL_DEFAULT_SENDER": "noreply@stockpot.example",
    "ADMINS": "admin@stockpot.example",
    "TRUSTED_HOSTS": "example.test",
}
PATHS = [
    "/",
    "/contact",
    "/users/login",
    "/users/register/ada@example.com",
    "/users/logout",
    "/healthz",
    "/readyz",
    "/nowhere",
    "/bug",
    "/static/css/app.css",
    "/static/nothing.css",
]
PAGES = [
    path
    for path in (ROOT / "app").glob("**/templates/**/*.html")
    if "mail" not in path.relative_to(ROOT).parts
]


@pytest.fixture
def plain_app() -> Flask:
    """Return an application that reaches no database."""
    return create_app("config.TestingConfig", **{"CELERY_BROKER_URL": "redis://127.0.0.1:9/0"})


@pytest.fixture
def production() -> FlaskClient:
    return create_app("config.ProductionConfig", **PRODUCTION).test_client()


@pytest.fixture
def member(tmp_path: Path) -> FlaskClient:
    """Return a client that has signed in and stays signed in."""
    app = create_app("config.TestingConfig", DATABASE_URL=f"sqlite:///{tmp_path / 'app.db'}")
    with app.app_context():
        Base.metadata.create_all(db.engine)
        password = hash_password(PASSWORD)
        user = User(
            email="ada@example.com", password=password, fs_uniquifier="a", confirmed_at=utcnow()
        )
        db.session.add(user)
        db.session.commit()
    client = app.test_client()
    assert sign_in(client).location == "/"
    return client


def sign_in(client: FlaskClient) -> TestResponse:
    fields = {"email": "ada@example.com", "password": PASSWORD, "remember": "y"}
    return post(client, "/users/login", **fields)


def policy_of(response: TestResponse) -> str:
    return response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("path", PATHS)
def test_every_response_carries_the_headers(plain_app: Flask, path: str, accept: str) -> None:
    plain_app.add_url_rule("/bug", view_func=lambda: str(1 / 0))
    response = plain_app.test_client().get(path, headers={"Accept": accept}, buffered=True)
    expected = {**HEADERS, "Referrer-Policy": "strict-origin"} if "@" in path else HEADERS
    assert {name: response.headers.get(name) for name in HEADERS} == expected
    policy = policy_of(response)
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http" not in policy
    assert response.headers["X-Request-ID"]
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("POST", "/contact", 400), ("DELETE", "/contact", 405), ("OPTIONS", "/contact", 200)],
)
def test_refused_requests_carry_the_headers_too(
    plain_app: Flask, method: str, path: str, code: int
) -> None:
    response = plain_app.test_client().open(path, method=method)
    assert response.status_code == code
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_a_view_may_set_a_header_itself(plain_app: Flask) -> None:
    own = {"Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'"}
    plain_app.add_url_rule("/own", view_func=lambda: ("", own))
    response = plain_app.test_client().get("/own")
    assert {name: response.headers[name] for name in own} == own


def test_the_policy_names_a_nonce_only_where_a_page_uses_one(plain_app: Flask) -> None:
    plain_app.add_url_rule(
        "/script",
        view_func=lambda: render_template_string("{{ csp_nonce() }} {{ csp_nonce() }}"),
    )
    client = plain_app.test_client()
    assert "nonce" not in policy_of(client.get("/"))
    nonces = set()
    for _ in range(3):
        response = client.get("/script")
        first, second = response.text.split()
        assert first == second
        assert policy_of(response).endswith(f"script-src 'self' 'nonce-{first}'")
        nonces.add(first)
    assert len(nonces) == 3
    assert "nonce" not in policy_of(client.get("/"))


def test_production_insists_on_https(production: FlaskClient) -> None:
    response = production.get("/users/login", base_url=HTTPS)
    age = re.match(r"max-age=(\d+)", response.headers["Strict-Transport-Security"])
    assert age
    assert int(age[1]) >= 31536000
    assert "Strict-Transport-Security" in production.get("/nowhere", base_url=HTTPS).headers
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


@pytest.mark.parametrize("config_type", ["config.DevelopmentConfig", "config.TestingConfig"])
def test_elsewhere_http_is_fine(config_type: str) -> None:
    client = create_app(config_type, LOG_FILE=None).test_client()
    response = client.get("/users/login")
    assert "Strict-Transport-Security" not in response.headers
    assert "Secure" not in response.headers["Set-Cookie"]


def test_cookies_are_kept_from_scripts_and_other_sites(member: FlaskClient) -> None:
    cookies = sign_in(member.application.test_client()).headers.getlist("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {
        "session",
        "remember_token",
        "device",
    }
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; ")), cookie


@pytest.mark.parametrize("path", ["/", "/contact", "/nowhere"])
def test_pages_of_somebody_signed_in_are_not_stored(member: FlaskClient, path: str) -> None:
    response = member.get(path)
    assert "Sign out" in response.text
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "Cookie" in response.headers["Vary"]


def test_public_pages_and_static_files_may_be_stored(plain_app: Flask, member: FlaskClient) -> None:
    stylesheet = member.get("/static/css/app.css", buffered=True)
    assert "no-store" not in plain_app.test_client().get("/").headers.get("Cache-Control", "")
    assert "no-store" not in stylesheet.headers["Cache-Control"]


def test_the_address_of_a_static_file_changes_with_its_content(
    plain_app: Flask, tmp_path: Path
) -> None:
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', plain_app.test_client().get("/").text)
    assert len(addresses) == 4
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address), address
        assert plain_app.test_client().get(address, buffered=True).status_code == 200

    versions = set()
    for content in ("pot", "lid"):
        (tmp_path / content).mkdir()
        (tmp_path / content / "a.css").write_text(content)
        app = create_app("config.TestingConfig")
        app.static_folder = str(tmp_path / content)
        with app.test_request_context():
            versions.add(asset("a.css"))
            (tmp_path / content / "a.css").unlink()
            versions.add(asset("a.css"))  # known, so not read again
            assert asset("none.css").endswith("?v=none")
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, "203.0.113.7", "127.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
    ],
)
def test_only_as_many_proxies_are_believed_as_there_are(
    hops: int, forwarded: str, expected: str
) -> None:
    app = create_app("config.TestingConfig", PROXY_HOPS=hops)
    app.add_url_rule("/who", view_func=lambda: f"{request.remote_addr} {request.is_secure}")
    proto = ", ".join(["https"] * max(hops, 1))
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": proto}
    assert app.test_client().get("/who", headers=headers).text == f"{expected} {hops > 0}"


@pytest.mark.parametrize(
    ("trusted", "host", "code"),
    [
        ("example.test", "example.test", 200),
        ("example.test", "example.test:8080", 200),
        ("example.test,other.test", "other.test", 200),
        (".example.test", "www.example.test", 200),
        ("example.test", "evil.test", 400),
        ("example.test", "example.test.evil.test", 400),
        ("example.test", "www.example.test", 400),
    ],
)
def test_only_trusted_hosts_are_served(trusted: str, host: str, code: int) -> None:
    client = create_app("config.TestingConfig", TRUSTED_HOSTS=trusted).test_client()
    response = client.get("/", base_url=f"http://{host}")
    assert response.status_code == code
    assert "evil" not in response.headers.get("Location", "")


def test_a_forwarded_host_must_be_trusted_as_well() -> None:
    app = create_app("config.TestingConfig", TRUSTED_HOSTS="example.test", PROXY_HOPS=1)
    client = app.test_client()
    for host, code in (("evil.test", 400), ("example.test", 200)):
        response = client.get("/", headers={"X-Forwarded-Host": host})
        assert response.status_code == code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "app")))
def test_templates_need_nothing_that_the_policy_forbids(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle\s*=", text)
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text)
    assert not re.search(r"javascript:", text)
    assert not re.search(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", text)
    for script in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in script or "csp_nonce()" in script


def test_there_are_templates_to_check() -> None:
    assert {"base.html", "login.html", "home.html", "500.html"} <= {page.name for page in PAGES}


def test_stylesheets_load_nothing_from_elsewhere() -> None:
    for sheet in (ROOT / "app" / "static").glob("**/*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", text), sheet
