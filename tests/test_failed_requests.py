"""A request that fails stores nothing, and its page asks neither the database nor the session."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, Response, abort, after_this_request, session
from flask.testing import FlaskClient
from flask_security import hash_password, user_registered
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app import create_app
from app.auth.models import User
from app.extensions import db
from app.models import Base, utcnow
from tests.support import post

PASSWORD = "a stockpot full of soup"
FAILURES: list[Callable[[], object]] = [
    lambda: abort(400),
    lambda: abort(503),
    lambda: 1 / 0,
    lambda: db.session.execute(db.text("SELECT nonsense")),
]


def count_users(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(User)) or 0


@pytest.mark.parametrize("failure", FAILURES, ids=["400", "503", "bug", "SQL"])
def test_a_registration_that_fails_after_the_user_was_added_stores_nothing(
    app: Flask, failure: Callable[[], object]
) -> None:
    """Flask-Security commits after the response was made, even if that is a page for an error."""

    @user_registered.connect_via(app)
    def fail(_: Flask, **__: object) -> None:
        db.session.flush()
        failure()

    client = app.test_client()
    response = post(client, "/users/register", email="ada@example.com", password=PASSWORD)
    assert response.status_code in (400, 500, 503)
    assert count_users(app) == 0


@pytest.mark.parametrize("failure", FAILURES, ids=["400", "503", "bug", "SQL"])
def test_a_view_that_fails_stores_nothing(app: Flask, failure: Callable[[], object]) -> None:
    def commit(response: Response) -> Response:
        db.session.commit()
        return response

    @app.get("/add")
    def add() -> str:
        after_this_request(commit)
        db.session.add(User(email="ada@example.com", fs_uniquifier="ada"))
        db.session.flush()
        failure()
        return "added"

    assert app.test_client().get("/add").status_code >= 400
    assert count_users(app) == 0


@pytest.fixture
def own_database(tmp_path: Path) -> Path:
    """Return the file of a database that this test may take away."""
    return tmp_path / "app.db"


@pytest.fixture
def signed_in(own_database: Path) -> FlaskClient:
    """Return a client that has signed in and has a message waiting."""
    app = create_app("config.TestingConfig", DATABASE_URL=f"sqlite:///{own_database}")

    @app.get("/bug")
    def bug() -> str:
        take_away(own_database)
        raise RuntimeError("hunter2 boiled over")

    @app.get("/soup")
    def soup() -> str:
        take_away(own_database)
        return abort(404)

    with app.app_context():
        Base.metadata.create_all(db.engine)
        password = hash_password(PASSWORD)
        user = User(
            email="ada@example.com", password=password, fs_uniquifier="a", confirmed_at=utcnow()
        )
        db.session.add(user)
        db.session.commit()
    client = app.test_client()
    assert post(client, "/users/login", email="ada@example.com", password=PASSWORD).location == "/"
    return client


def take_away(database: Path) -> None:
    """Put a folder where the database was; what is open is closed first."""
    db.session.rollback()
    db.engine.dispose()
    database.unlink()
    database.mkdir()


def test_the_page_for_a_bug_needs_no_database(signed_in: FlaskClient) -> None:
    response = signed_in.get("/bug")
    assert response.status_code == 500
    assert f"<code>{response.headers['X-Request-ID']}</code>" in response.text
    assert 'href="/">Back to the home page</a>' in response.text
    assert "hunter2" not in response.text
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", ["/", "/nowhere", "/users/logout"])
def test_somebody_signed_in_gets_a_page_when_the_database_is_gone(
    signed_in: FlaskClient, own_database: Path, path: str
) -> None:
    with signed_in.application.app_context():
        take_away(own_database)
    assert_unavailable(signed_in.get(path))


def test_a_page_for_an_error_that_needs_the_database_becomes_503(signed_in: FlaskClient) -> None:
    assert_unavailable(signed_in.get("/soup"))


def assert_unavailable(response: TestResponse) -> None:
    assert response.status_code == 503
    assert f"<code>{response.headers['X-Request-ID']}</code>" in response.text
    assert not re.search(r"Traceback|sqlite|OperationalError", response.text)


def test_the_page_for_a_bug_needs_no_session(app: Flask) -> None:
    @app.get("/bug")
    def bug() -> str:
        session["key"] = object()  # which cannot be stored in a cookie
        raise RuntimeError

    client = app.test_client()
    client.set_cookie("session", "garbage.that.nobody-signed")
    assert client.get("/nowhere").status_code == 404
    assert client.get("/bug").status_code == 500


def test_a_refused_form_whose_page_breaks_is_an_error_of_ours(app: Flask) -> None:
    app.jinja_env.globals["menu"] = lambda: 1 / 0
    app.config["WTF_CSRF_ENABLED"] = False
    fields = {"email": "ada@example.com", "password": "short"}
    assert app.test_client().post("/users/register", data=fields).status_code == 500
