"""`/healthz` asks nobody, `/readyz` asks the database and the broker."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.core import checks
from tests.support import Valkey, free_port, wait_until


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Return a Valkey server that this test may stop and freeze."""
    server = Valkey(tmp_path)
    yield server
    server.stop()


def client_of(database: str, broker: str) -> FlaskClient:
    settings = {"DATABASE_URL": database, "CELERY_BROKER_URL": broker}
    return create_app("config.TestingConfig", **settings).test_client()


def sqlite_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'app.db'}"


def assert_failing(client: FlaskClient, *names: str) -> None:
    begun = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - begun < 4, "a second for each part, and some patience"
    assert response.status_code == 503
    assert response.get_json() == {"status": "unavailable", "failing": [*names]}


def test_healthz_asks_neither_database_nor_broker() -> None:
    client = create_app("config.TestingConfig").test_client()
    response = client.get("/healthz")
    assert response.get_json() == {"status": "ok"}
    assert "Set-Cookie" not in response.headers


def test_readyz_is_ok_when_both_answer(app: Flask) -> None:
    client = app.test_client()
    answer = wait_until(
        lambda: [answer for answer in (client.get("/readyz"),) if answer.status_code == 200],
        "both answer in time",
    )
    assert answer[0].get_json() == {"status": "ok"}


def test_readyz_names_both_when_both_are_down() -> None:
    port = free_port()
    client = client_of(f"postgresql://u:p@127.0.0.1:{port}/x", f"redis://127.0.0.1:{port}/0")
    assert_failing(client, "database", "broker")
    assert client.get("/healthz").status_code == 200


def test_readyz_tells_nothing_but_the_names(valkey: Valkey) -> None:
    client = client_of("postgresql://scott:tiger-secret@127.0.0.1:9/x", valkey.url(1))
    text = client.get("/readyz").text
    assert "scott" not in text
    assert "127.0.0.1" not in text


def test_readyz_names_a_database_that_refuses(valkey: Valkey) -> None:
    url = f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    assert_failing(client_of(url, valkey.url(1)), "database")


def test_readyz_names_a_database_whose_folder_is_gone(valkey: Valkey, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = sqlite_in(tmp_path / "file")
    assert_failing(client_of(url, valkey.url(1)), "database")


def test_readyz_names_a_frozen_database(valkey: Valkey, silent_port: int) -> None:
    url = f"postgresql://u:p@127.0.0.1:{silent_port}/x"
    assert_failing(client_of(url, valkey.url(1)), "database")


def test_a_probe_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def hang(_: Flask) -> None:
        release.wait(30)

    try:
        failure = checks.failure_of(hang, Flask("x"), 0.1)
    finally:
        release.set()
    assert failure == "no answer within 0.1 s"


def test_readyz_names_a_broker_that_refuses(tmp_path: Path) -> None:
    assert_failing(client_of(sqlite_in(tmp_path), f"redis://127.0.0.1:{free_port()}/0"), "broker")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_readyz_names_a_silent_broker(tmp_path: Path, silent_port: int, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{silent_port}/0"
    assert_failing(client_of(sqlite_in(tmp_path), url), "broker")


def test_readyz_notices_a_broker_that_freezes_and_thaws(own_valkey: Valkey, tmp_path: Path) -> None:
    client = client_of(sqlite_in(tmp_path), own_valkey.url(0))
    assert client.get("/readyz").status_code == 200
    pid = own_valkey._process.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert_failing(client, "broker")
        assert client.get("/healthz").status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    assert client.get("/readyz").status_code == 200


def test_readyz_notices_a_broker_that_stops(own_valkey: Valkey, tmp_path: Path) -> None:
    client = client_of(sqlite_in(tmp_path), own_valkey.url(0))
    own_valkey.stop()
    assert_failing(client, "broker")


def test_probes_need_neither_the_right_name_nor_the_database(tmp_path: Path) -> None:
    app = create_app(
        "config.TestingConfig",
        DATABASE_URL="sqlite:////nowhere/at/all.db",
        TRUSTED_HOSTS="stockpot.example",
    )
    client = app.test_client()
    with client.session_transaction("/", base_url="http://stockpot.example") as session:
        session["_user_id"] = "somebody"
    assert client.get("/healthz", base_url="http://10.0.0.7:5000").status_code == 200
    assert client.get("/", base_url="http://10.0.0.7:5000").status_code == 400
