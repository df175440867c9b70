"""Log lines: what they look like, and which request and task they belong to."""

import json
import logging
import re
import time
from collections.abc import Callable

import pytest
from flask import Flask
from flask_security import hash_password

from app import create_app
from app.auth.models import User
from app.extensions import db
from app.models import utcnow
from tests.log_support import own_handlers  # noqa: F401 - a fixture for every test here
from tests.support import Inbox, Process, post

PASSWORD = "a stockpot full of soup"
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
Capture = pytest.CaptureFixture[str]


def example() -> logging.LogRecord:
    moment = time.mktime((2021, 5, 14, 16, 14, 31, 0, 0, -1))
    return logging.makeLogRecord(
        {
            "name": "app",
            "levelno": logging.INFO,
            "levelname": "INFO",
            "msg": "Index page %s",
            "args": ("loading",),
            "filename": "views.py",
            "lineno": 6,
            "created": moment + 0.91,
            "msecs": 910.0,
        }
    )


def test_a_line_reads_as_the_contract_says(capsys: Capture) -> None:
    create_app("config.TestingConfig")
    logging.getLogger().handle(example())
    line = "2021-05-14 16:14:31,910 INFO: Index page loading [in views.py: 6]\n"
    assert capsys.readouterr().out == line


def test_a_line_of_a_request_has_its_id_and_the_remote_address(capsys: Capture) -> None:
    client = create_app("config.TestingConfig").test_client()
    client.get("/", headers={"X-Request-ID": "from-the-proxy"})
    context = r"\[request from-the-proxy from 127\.0\.0\.1\]"
    own = rf"{STAMP} INFO: Index page loading \[in views\.py: \d+\] {context}\n"
    access = rf"{STAMP} INFO: GET / 200 in \d+ ms \[in requests\.py: \d+\] {context}\n"
    assert re.fullmatch(own + access, capsys.readouterr().out), "nothing is doubled"


def test_json_has_the_same_fields(capsys: Capture) -> None:
    app = create_app("config.TestingConfig", LOG_FORMAT="json")
    logging.getLogger().handle(example())
    app.test_client().get("/", headers={"X-Request-ID": "from-the-proxy"})
    first, second, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "time": "2021-05-14 16:14:31,910",
        "level": "INFO",
        "name": "app",
        "message": "Index page loading",
        "filename": "views.py",
        "lineno": 6,
        "request_id": None,
        "task_id": None,
        "remote_addr": None,
    }
    assert (second["request_id"], second["remote_addr"]) == ("from-the-proxy", "127.0.0.1")


def test_json_keeps_a_traceback_and_extra_fields_on_one_line(capsys: Capture) -> None:
    app = create_app("config.TestingConfig", LOG_FORMAT="json")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        app.logger.exception("It failed", extra={"order": 7, "tags": ["a", "b"]})
    (line,) = capsys.readouterr().out.splitlines()
    fields = json.loads(line)
    assert "ValueError: first\nsecond" in fields["exc_info"]
    assert (fields["order"], fields["tags"]) == (7, ["a", "b"])


def test_several_applications_in_one_process_double_nothing(capsys: Capture) -> None:
    apps = [create_app("config.TestingConfig") for _ in range(3)]
    apps[0].test_client().get("/")
    logging.getLogger("somewhere.else").warning("once")
    console = capsys.readouterr()
    assert len(console.out.splitlines()) == 3
    assert console.err == ""


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", ["d", "i", "w", "e"]),
        ("INFO", ["i", "w", "e"]),
        ("WARNING", ["w", "e"]),
        ("ERROR", ["e"]),
    ],
)
def test_the_level_is_obeyed(capsys: Capture, level: str, expected: list[str]) -> None:
    app = create_app("config.TestingConfig", LOG_LEVEL=level)
    for logger in (app.logger, logging.getLogger("app.somewhere")):
        logger.debug("d")
        logger.info("i")
        logger.warning("w")
        logger.error("e")
        lines = capsys.readouterr().out.splitlines()
        assert re.findall(r": (\w) \[in", "\n".join(lines)) == expected


@pytest.mark.parametrize(
    "given", ["12345678", "x" * 64, "0b6f2c7e-30cd-4f0e-8f0e-4f6f5d3f7a11", "trace_1.2-3"]
)
def test_a_well_formed_request_id_is_kept(capsys: Capture, given: str) -> None:
    client = create_app("config.TestingConfig").test_client()
    assert client.get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    assert f"[request {given} from" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given",
    [
        "",
        "1234567",
        "x" * 65,
        "with a space",
        "12345678\n",
        "12345678\r\nSet-Cookie: a=b",
        "12345678\nINFO: forged",
        "<script>alert(1)</script>",
        "12345678\N{LATIN SMALL LETTER E WITH ACUTE}",
        "12345678]",
        "12345678\0",
    ],
)
def test_any_other_request_id_is_replaced(capsys: Capture, given: str) -> None:
    client = create_app("config.TestingConfig").test_client()
    response = client.get("/", environ_overrides={"HTTP_X_REQUEST_ID": given})
    (returned,) = response.headers.getlist("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{16}", returned)
    for line in capsys.readouterr().out.splitlines():
        assert f"[request {returned} from" in line


@pytest.mark.parametrize("path", ["/", "/contact", "/nowhere"])
def test_each_request_has_an_id_of_its_own_even_if_it_is_refused(
    capsys: Capture, path: str
) -> None:
    client = create_app("config.TestingConfig").test_client()
    ids = [client.post(path).headers["X-Request-ID"] for _ in range(3)]
    assert len(set(ids)) == 3
    logged = re.findall(r"\[request (\w+) from", capsys.readouterr().out)
    assert list(dict.fromkeys(logged)) == ids


def test_a_task_logs_under_the_id_of_its_request(
    live_app: Flask, worker: Process, inbox: Inbox
) -> None:
    live_app.config["ADMINS"] = ["admin@example.com"]
    client = live_app.test_client()
    client.environ_base["HTTP_X_REQUEST_ID"] = "request-with-a-task"
    post(client, "/contact", name="Ada", email="ada@example.com", message="Hello.")
    inbox.wait_for("admin@example.com")
    mail = r"INFO: The mail main/mail/contact is sent \[in tasks\.py: \d+\]"
    worker.wait_for(rf"{mail} \[request request-with-a-task task [0-9a-f-]{{36}}\]\n")


@pytest.mark.parametrize(
    "forged",
    [
        "\n2021-05-14 16:14:31,910 INFO: User 1 signed in",
        "\r2021-05-14 16:14:31,910 INFO: User 1 signed in",
        "\r\n2021-05-14 16:14:31,910 INFO: User 1 signed in",
        "\x0b\x0c\x1c\x1d\x1e\x852021-05-14 16:14:31,910 INFO: User 1 signed in",
        "\u2028\u20292021-05-14 16:14:31,910 INFO: User 1 signed in",
        "\x1b[2K\x1b[1G2021-05-14 16:14:31,910 INFO: User 1 signed in",
    ],
)
def test_nothing_a_visitor_sends_can_forge_a_line(capsys: Capture, forged: str) -> None:
    app = create_app("config.TestingConfig")
    app.logger.info("Searched for %s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        app.logger.exception("Failed", stack_info=True)
    out = capsys.readouterr().out
    assert "User 1 signed in" in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x85\u2028\u2029]", out)
    at_the_margin = [line for line in out.split("\n") if line and not line.startswith("  ")]
    assert [re.sub(STAMP, "", line)[:8] for line in at_the_margin] == [" INFO: S", " ERROR: "]


def test_colours_do_not_get_into_the_log(capsys: Capture) -> None:
    app = create_app("config.TestingConfig")
    app.logger.info("\x1b[36mGET / HTTP/1.1\x1b[0m 304")
    assert "INFO: GET / HTTP/1.1 304 [in" in capsys.readouterr().out


def add_user(app: Flask) -> int:
    with app.app_context():
        password = hash_password(PASSWORD)
        user = User(
            email="ada@example.com", password=password, fs_uniquifier="a", confirmed_at=utcnow()
        )
        db.session.add(user)
        db.session.commit()
        return user.id


def test_what_happens_to_an_account_is_logged_with_its_id(
    make_app: Callable[..., Flask], capsys: Capture
) -> None:
    app = make_app()
    who, client = add_user(app), app.test_client()
    ada = "ada@example.com"

    def lines(path: str, **fields: str) -> str:
        form = "/" if path == "/users/logout" else path
        capsys.readouterr()
        post(client, path, form=form, **fields)
        return capsys.readouterr().out

    wrong = lines("/users/login", email=ada, password="wrong")
    assert f"WARNING: Wrong password for user {who} " in wrong
    asked = lines("/users/reset", email=ada)
    assert f"INFO: User {who} asked for a new password " in asked
    signed_in = lines("/users/login", email=ada, password=PASSWORD)
    assert f"INFO: User {who} signed in " in signed_in
    assert f"INFO: User {who} signed out " in lines("/users/logout")
    signed_up = lines("/users/register", email="eve@example.com", password=PASSWORD)
    assert f"INFO: User {who + 1} signed up " in signed_up
