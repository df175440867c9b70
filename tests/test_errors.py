"""Errors are answered in our own words: a page for people, a problem document for programs."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Blueprint, Flask, abort, request
from flask.testing import FlaskClient
from jinja2 import TemplateNotFound
from werkzeug.test import TestResponse

from app import create_app
from tests.support import csrf_token

JSON = {"Accept": "application/json"}
PROBLEM = "application/problem+json"
CODES = (400, 401, 403, 404, 405, 413, 429, 500, 503)


@pytest.fixture
def app() -> Flask:
    """Return an application without database and broker, whose feature fails on demand."""
    app = create_app("config.TestingConfig")
    faults = Blueprint("faults", __name__)

    @faults.route("/abort/<int:code>")
    def abort_with(code: int) -> str:
        abort(code)

    @faults.route("/words")
    def abort_with_words() -> str:
        abort(403, "The kitchen is <closed>.")

    @faults.route("/bug")
    def bug() -> str:
        raise RuntimeError("hunter2 boiled over")

    @faults.route("/missing-template")
    def missing_template() -> str:
        raise TemplateNotFound("soup.html")

    @faults.route("/missing-field")
    def missing_field() -> str:
        return request.args["recipe"]

    app.register_blueprint(faults)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def assert_page(response: TestResponse, code: int) -> None:
    """Check that the page looks like all others, leads home and shows no traceback."""
    assert response.status_code == code
    assert response.mimetype == "text/html"
    assert '<nav aria-label="Main">' in response.text
    assert f'<p class="code">{code}</p>' in response.text
    assert 'href="/">Back to the home page</a>' in response.text
    assert_no_internals(response)


def assert_problem(response: TestResponse, code: int) -> dict[str, str]:
    """Check the document of RFC 9457 and return it."""
    assert response.status_code == code
    assert response.mimetype == PROBLEM
    problem = response.get_json(force=True)
    assert problem["status"] == code
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert_no_internals(response)
    return problem


def assert_no_internals(response: TestResponse) -> None:
    assert not re.search(r"Traceback|\.py|hunter2|sqlalchemy|psycopg", response.text)


@pytest.mark.parametrize("code", CODES)
def test_people_get_a_page_that_leads_home(client: FlaskClient, code: int) -> None:
    assert_page(client.get(f"/abort/{code}"), code)


@pytest.mark.parametrize("code", CODES)
def test_programs_get_a_problem_document(client: FlaskClient, code: int) -> None:
    assert_problem(client.get(f"/abort/{code}", headers=JSON), code)


@pytest.mark.parametrize("code", [410, 415, 418, 502])
def test_an_error_without_a_page_of_its_own_gets_the_nearest(
    client: FlaskClient, code: int
) -> None:
    assert_page(client.get(f"/abort/{code}"), code)


def test_every_page_says_something_else(client: FlaskClient) -> None:
    pages = {code: client.get(f"/abort/{code}").text for code in CODES}
    headings = {re.search("<h1>(.+)</h1>", page)[1] for page in pages.values()}  # type: ignore[index]
    assert len(headings) == len(CODES)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
        ("image/png", "text/html"),
        ("nonsense", "text/html"),
        ("text/html, application/json", "text/html"),
        ("application/json;q=0.5, text/html", "text/html"),
        ("application/json", PROBLEM),
        ("application/json, text/plain, */*", PROBLEM),
        ("application/problem+json", PROBLEM),
        ("application/json, text/html;q=0.5", PROBLEM),
    ],
)
def test_the_accept_header_decides(client: FlaskClient, accept: str, kind: str) -> None:
    assert client.get("/nowhere", headers={"Accept": accept}).mimetype == kind


def test_the_words_of_abort_are_shown_and_escaped(client: FlaskClient) -> None:
    assert "The kitchen is &lt;closed&gt;." in client.get("/words").text
    problem = assert_problem(client.get("/words", headers=JSON), 403)
    assert problem["detail"] == "The kitchen is <closed>."


def test_the_words_of_the_library_are_not_shown(client: FlaskClient) -> None:
    response = client.get("/missing-field")
    assert_page(response, 400)
    assert "browser" not in response.text
    assert "recipe" not in response.text


def test_a_wrong_method_is_answered_with_those_allowed(client: FlaskClient) -> None:
    response = client.delete("/contact")
    assert_page(response, 405)
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize("token", [None, "nonsense", "stale"])
def test_a_failed_csrf_check_is_explained(client: FlaskClient, token: str | None) -> None:
    if token == "stale":
        token = csrf_token(client, "/contact")
        client.delete_cookie("session")
    response = client.post("/contact", data={"csrf_token": token} if token else {})
    assert_page(response, 400)
    assert "This form has expired" in response.text
    assert "CSRF" not in response.text
    assert response.headers["X-Request-ID"]
    problem = assert_problem(client.post("/contact", headers=JSON), 400)
    assert "This form has expired" in problem["detail"]


def test_an_old_csrf_token_is_explained(client: FlaskClient, app: Flask) -> None:
    token = csrf_token(client, "/contact")
    app.config["WTF_CSRF_TIME_LIMIT"] = -1
    response = client.post("/contact", data={"csrf_token": token})
    assert_page(response, 400)
    assert "This form has expired" in response.text


@pytest.mark.parametrize(
    ("content_type", "size"),
    [("multipart/form-data", 300 * 1024), ("application/x-www-form-urlencoded", 3 * 1024 * 1024)],
    ids=["field", "body"],
)
@pytest.mark.parametrize("headers", [{}, JSON], ids=["page", "JSON"])
def test_what_is_too_large_is_refused(
    client: FlaskClient, content_type: str, size: int, headers: dict[str, str]
) -> None:
    form = {"message": "x" * size}
    response = client.post("/contact", data=form, content_type=content_type, headers=headers)
    (assert_problem if headers else assert_page)(response, 413)


def test_a_client_that_posts_too_often_is_told_to_wait() -> None:
    app = create_app("config.TestingConfig", RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False)
    client = app.test_client()
    codes = [client.post("/contact").status_code for _ in range(6)]
    assert codes == [422] * 5 + [429]
    assert_page(client.post("/contact"), 429)
    assert_problem(client.post("/contact", headers=JSON), 429)
    assert client.get("/contact").status_code == 200


@pytest.mark.parametrize("path", ["/bug", "/missing-template"])
def test_a_bug_shows_the_number_to_quote_and_nothing_else(client: FlaskClient, path: str) -> None:
    response = client.get(path, headers={"X-Request-ID": "quote-me-12345"})
    assert_page(response, 500)
    assert "<code>quote-me-12345</code>" in response.text
    problem = assert_problem(client.get(path, headers=JSON), 500)
    assert "request_id" in problem


@pytest.mark.parametrize("path", ["/bug", "/nowhere", "/abort/403", "/words"])
def test_head_is_answered_without_a_body(client: FlaskClient, path: str) -> None:
    response = client.head(path)
    assert response.status_code == client.get(path).status_code
    assert response.data == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_host_is_refused_with_a_page(method: str) -> None:
    app = create_app("config.TestingConfig", TRUSTED_HOSTS="example.test")
    client = app.test_client()
    for path in ("/", "/contact", "/nowhere"):
        response = client.open(path, method=method, base_url="http://evil.test")
        assert_page(response, 400)
    assert_problem(client.get("/", base_url="http://evil.test", headers=JSON), 400)
    assert client.get("/", base_url="http://example.test").status_code == 200


@pytest.fixture(params=["refused", "missing folder"])
def unreachable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database that cannot be reached."""
    if request.param == "missing folder":
        (tmp_path / "file").touch()
        yield f"sqlite:///{tmp_path / 'file' / 'app.db'}"
    else:
        with socket.socket() as held:  # bound and not listening, so that it refuses
            held.bind(("127.0.0.1", 0))
            yield f"postgresql://scott:hunter2@127.0.0.1:{held.getsockname()[1]}/x"


def test_a_database_that_is_away_gives_503(unreachable: str) -> None:
    client = create_app("config.TestingConfig", DATABASE_URL=unreachable).test_client()
    form = {"email": "ada@example.com", "password": "correct horse"}
    for path in ("/users/register", "/users/login", "/users/reset"):
        sent = {"csrf_token": csrf_token(client, path), **form}
        response = client.post(path, data=sent)
        assert_page(response, 503)
        assert f"<code>{response.headers['X-Request-ID']}</code>" in response.text
        assert_problem(client.post(path, data=sent, headers=JSON), 503)
