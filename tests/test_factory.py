"""The factory: overrides, secrets out of sight, applications side by side, idle imports."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask
from sqlalchemy import select

import app as application_module
from app import create_app
from app.auth.models import User
from app.extensions import db
from app.models import Base
from app.tasks import send_email
from tests.support import ROOT, Valkey, post

MARKER = "never-show-this-value"
TESTING = "config.TestingConfig"
QUEUES = (8, 9)  # databases of Valkey that no other test uses

# Fails when what is imported writes a file, starts a process or touches the network.
IMPORT_IDLY = """
import importlib, os, sys

def refuse(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (
        os.O_WRONLY | os.O_RDWR | os.O_CREAT
    )
    acts = event in ("os.mkdir", "subprocess.Popen", "os.fork", "socket.bind", "socket.connect")
    if writes or acts:
        raise SystemExit(f"importing did {event} {arguments}")

sys.addaudithook(refuse)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


@pytest.fixture
def pair(tmp_path: Path, valkey: Valkey) -> Iterator[tuple[Flask, Flask]]:
    """Return two applications with different settings, each with a database and a queue."""
    applications = []
    for name, queue in zip(("Soup", "Stew"), QUEUES, strict=True):
        application = create_app(
            TESTING,
            APP_NAME=name,
            SECRET_KEY=f"the secret key of {name}",
            DATABASE_URL=f"sqlite:///{tmp_path / name}.db",
            CELERY_BROKER_URL=valkey.url(queue),
            ADMINS=f"{name.lower()}@example.com",
        )
        with application.app_context():
            Base.metadata.create_all(db.engine)
        applications.append(application)
    yield applications[0], applications[1]
    for application, queue in zip(applications, QUEUES, strict=True):
        valkey.empty(queue)
        with application.app_context():
            db.engine.dispose()


def queued(valkey: Valkey, queue: int) -> int:
    """Return how many messages about mails wait in a broker, whatever their priority."""
    with redis.from_url(valkey.url(queue)) as connection:
        lengths = [connection.llen(key) for key in connection.scan_iter("mail*", _type="list")]
    return sum(length for length in lengths if isinstance(length, int))


def test_the_factory_goes_its_steps_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging is ready before an extension speaks; a feature finds the extensions it needs."""
    taken: list[str] = []

    def record(name: str) -> None:
        step = getattr(application_module, name)

        def recorded(*arguments: object) -> object:
            taken.append(name)
            return step(*arguments)

        monkeypatch.setattr(application_module, name, recorded)

    steps = [
        "configure",
        "configure_logging",
        "initialize_extensions",
        "register_blueprints",
        "register_commands",
        "register_request_callbacks",
        "register_error_pages",
    ]
    for name in sorted(steps):
        record(name)
    create_app(TESTING)
    assert taken == steps


def test_overrides_set_variables_and_any_key_of_flask() -> None:
    app = create_app(TESTING, ADMINS="a@example.com, b@example.com", JSON_SORT_KEYS=False, MINE=1)
    assert app.config["ADMINS"] == ["a@example.com", "b@example.com"]
    assert app.config["JSON_SORT_KEYS"] is False
    assert app.config["MINE"] == 1


def test_override_wins_over_what_the_class_derives() -> None:
    app = create_app(TESTING, MAX_CONTENT_LENGTH=7, SQLALCHEMY_DATABASE_URI="sqlite://")
    assert app.config["MAX_CONTENT_LENGTH"] == 7
    assert app.config["SQLALCHEMY_DATABASE_URI"] == "sqlite://"


def test_cfg_file_sets_variables_and_any_key_of_flask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.cfg").write_text("APP_NAME = 'Soup'\nMINE = 6 * 7\nnot_a_setting = 1\n")
    monkeypatch.setenv("CONFIG_FILE", str(tmp_path / "my.cfg"))
    app = create_app(TESTING)
    assert (app.config["APP_NAME"], app.config["MINE"]) == ("Soup", 42)
    assert "not_a_setting" not in app.config
    assert create_app(TESTING, MINE=1).config["MINE"] == 1


def test_secrets_are_stars_wherever_the_configuration_is_shown() -> None:
    app = create_app(
        TESTING,
        SECRET_KEY=MARKER,
        SECURITY_PASSWORD_SALT=MARKER,
        MAIL_PASSWORD=MARKER,
        DATABASE_URL=f"postgresql://stockpot:{MARKER}@127.0.0.1/stockpot",
        CELERY_BROKER_URL=f"redis://:{MARKER}@127.0.0.1/0",
        RESULT_BACKEND=f"redis://:{MARKER}@127.0.0.1/1",
        REDIS_URL=f"redis://:{MARKER}@127.0.0.1/2",
    )
    assert app.config["SECRET_KEY"] == MARKER
    assert MARKER in app.config["CELERY"]["broker_url"]
    assert MARKER not in repr(app.config)
    assert MARKER not in str(app.config["CELERY"])
    assert MARKER not in f"{app.config!r} {dict(app.config)} {app.config.items()}"


def test_two_applications_answer_side_by_side(pair: tuple[Flask, Flask]) -> None:
    soup, stew = pair
    for app, other in ((soup, stew), (stew, soup), (soup, stew)):
        page = app.test_client().get("/").text
        assert app.config["APP_NAME"] in page
        assert other.config["APP_NAME"] not in page


def test_two_applications_share_no_rows(pair: tuple[Flask, Flask]) -> None:
    soup, stew = pair
    password = "a stockpot full of soup"
    for app in pair:
        address = f"ada@{app.name}-{app.config['APP_NAME'].lower()}.example"
        post(app.test_client(), "/users/register", email=address, password=password)
    for app, expected in ((soup, "ada@app-soup.example"), (stew, "ada@app-stew.example")):
        with app.app_context():
            assert list(db.session.scalars(select(User.email))) == [expected]


def test_neither_application_believes_the_session_of_the_other(pair: tuple[Flask, Flask]) -> None:
    soup, stew = (app.test_client() for app in pair)
    with soup.session_transaction() as session:
        session["mine"] = "soup"
    cookie = soup.get_cookie("session")
    assert cookie
    stew.set_cookie("session", cookie.value)
    with stew.session_transaction() as session:
        assert "mine" not in session


def test_tasks_go_to_the_broker_of_their_application(
    pair: tuple[Flask, Flask], valkey: Valkey
) -> None:
    soup, stew = pair
    letter = {"name": "Ada", "email": "ada@example.com", "message": "More salt."}
    for app in (soup, stew, soup):
        post(app.test_client(), "/contact", **letter)
    with soup.app_context():
        stew.test_client().get("/")
        send_email.apply_async(("ada@example.com", "main/mail/contact", letter), queue="mail")
    with stew.app_context():
        send_email.apply_async(("ada@example.com", "main/mail/contact", letter), queue="mail")
    assert (queued(valkey, QUEUES[0]), queued(valkey, QUEUES[1])) == (3, 2)


def test_importing_does_nothing(copy_of_project: Path, tmp_path: Path) -> None:
    packages = [path.relative_to(ROOT) for path in sorted((ROOT / "app").rglob("*.py"))]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in packages]
    # Loaded by those alone who ask for them. What sends their findings looks at import for IPv6.
    names = [name for name in names if name not in ("app.core.opentelemetry", "app.core.sentry")]
    (copy_of_project / ".env").write_bytes(b"\xff")  # whoever read it would fail
    (tmp_path / "elsewhere").mkdir()
    result = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_IDLY, "config", "settings", *names],
        cwd=tmp_path / "elsewhere",
        env={"PYTHONPATH": str(copy_of_project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not (copy_of_project / "instance").exists()
