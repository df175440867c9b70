"""Taking one's data away: what is in it, who gets it, and for how long."""

import io
import json
import re
import uuid
import zipfile
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.auth.exports import Export
from app.extensions import db
from app.jobs.models import CANCELLED, DEAD, Job
from app.models import utcnow
from tests.auth_support import PASSWORD, add_user, sign_in, user_of
from tests.support import Inbox, link_in, post, text_of
from tests.test_auth_password import grow_old

EMAIL = "ada@example.com"


def member(app: Flask, email: str = EMAIL) -> FlaskClient:
    """Return a client that has signed in."""
    add_user(app, email)
    client = app.test_client()
    sign_in(client, email)
    return client


def packed(app: Flask) -> str:
    """Do what the worker does with the last order; return the path of the export."""
    with app.app_context():
        orders = select(Job).where(Job.task == "app.auth.tasks.make_export")
        newest = orders.order_by(Job.created_at.desc()).limit(1)
        arguments = db.session.scalars(newest).one().arguments["args"]
        app.extensions["celery"].tasks["app.auth.tasks.make_export"](*arguments)
    return f"/users/export/{arguments[0]}"


def test_owner_gets_everything_but_secrets(live_app: Flask, inbox: Inbox) -> None:
    client = member(live_app)
    with live_app.app_context():
        secrets = [user_of(EMAIL).password, user_of(EMAIL).fs_uniquifier]
    post(client, "/users/profile", display_name="Ädä", theme="dark")
    assert post(client, "/users/export").location == "/users/export"
    mail = inbox.wait_for(EMAIL)
    assert mail["Subject"] == "Your data is ready"
    assert "If it was not you" in text_of(mail)
    answer = client.get(link_in(mail))
    assert answer.mimetype == "application/zip"
    assert answer.headers["Cache-Control"] == "private, no-store"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    sections = ("account", "sessions", "security_log", "passkeys", "addresses", "jobs")
    assert set(files) == {f"{name}.json" for name in sections}
    account = json.loads(files["account.json"])
    assert (account["email"], account["display_name"]) == (EMAIL, "Ädä")
    assert json.loads(files["security_log.json"])[0]["kind"] == "signed_in"
    for secret in secrets:
        assert secret
        assert f'"{secret}"' not in "".join(files.values()).replace(f'"email": "{EMAIL}"', "")


def test_export_is_for_its_owner_only(app: Flask) -> None:
    ada = member(app)
    post(ada, "/users/export")
    path = packed(app)
    assert ada.get(path).status_code == 200
    eve = member(app, "eve@example.com")
    assert eve.get(path).status_code == 404
    assert path not in eve.get("/users/export").text
    assert app.test_client().get(path).location.startswith("/users/login")
    assert ada.get(f"/users/export/{uuid.uuid4()}").status_code == 404
    assert ada.get("/users/export/../etc/passwd").status_code == 404


def test_an_old_sign_in_is_asked_for_the_password(app: Flask) -> None:
    ada = member(app)
    post(ada, "/users/export")
    path = packed(app)
    grow_old(ada)
    for page in ("/users/export", path):
        assert ada.get(page).location == f"/users/verify?next={page}"
    assert post(ada, "/users/export", form="/users/profile").location.startswith("/users/verify")
    assert post(ada, f"/users/verify?next={path}", password=PASSWORD).location == path
    assert ada.get(path).mimetype == "application/zip"


def test_export_is_over_after_a_day_and_is_deleted(app: Flask) -> None:
    ada = member(app)
    post(ada, "/users/export")
    path = packed(app)
    with app.app_context():
        export = db.session.scalars(select(Export)).one()
        export.ready_at = utcnow() - timedelta(hours=24, seconds=1)
        db.session.commit()
    assert ada.get(path).status_code == 404
    assert path not in ada.get("/users/export").text
    post(ada, "/users/export")
    path = packed(app)
    with app.app_context():
        app.extensions["celery"].tasks["app.auth.tasks.clean_up"]()
        assert len(db.session.scalars(select(Export)).all()) == 1
    assert ada.get(path).status_code == 200


def test_ordering_twice_makes_one(app: Flask) -> None:
    ada = member(app)
    for _ in range(2):
        post(ada, "/users/export")
    assert "is being packed" in ada.get("/users/export").text
    path = packed(app)
    assert packed(app) == path, "a job that runs twice changes nothing"
    assert re.findall(r'href="(/users/export/[^"]+)"', ada.get("/users/export").text) == [path]
    with app.app_context():
        tasks = db.session.scalars(select(Job.task)).all()
    assert sorted(tasks) == ["app.auth.tasks.make_export", "app.tasks.send_email"]


@pytest.mark.parametrize("state", [DEAD, CANCELLED])
def test_an_order_whose_job_is_dead_is_not_waited_for(app: Flask, state: str) -> None:
    ada = member(app)
    post(ada, "/users/export")
    with app.app_context():
        own = Job.task == "app.auth.tasks.make_export"
        db.session.execute(update(Job).where(own).values(state=state))
        db.session.commit()
        dead = db.session.scalars(select(Export.id)).one()
    page = ada.get("/users/export").text
    assert "The export of" not in page
    assert "Export the data" in page
    post(ada, "/users/export")
    assert packed(app) != f"/users/export/{dead}"
    page = ada.get("/users/export").text
    assert page.count("The export of") == 1
    assert "UTC is being packed" not in page


def test_user_who_is_gone_gets_nothing(app: Flask) -> None:
    post(member(app), "/users/export")
    with app.app_context():
        db.session.delete(user_of(EMAIL))
        db.session.commit()
    packed(app)
    with app.app_context():
        assert db.session.scalars(select(Export)).all() == []


@pytest.mark.parametrize("path", ["/users/export"])
def test_ordering_needs_a_token(app: Flask, path: str) -> None:
    assert member(app).post(path).status_code == 400
    with app.app_context():
        assert db.session.scalars(select(Job)).all() == []
