"""What containers are made of: Dockerfile, Compose files, Caddy in front, the health check."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import config
from app.core.requests import ACCEPTABLE
from scripts.healthcheck import role
from tests.container.parts import caddyfile
from tests.support import ROOT, Process, answers, free_port, wait_until

BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
TOKEN = "a-token-that-signs-in"
OURS = ("web", "worker", "beat", "migrate")


def seconds(duration: str) -> int:
    """Return a duration as Compose writes it."""
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        [
            "check-jsonschema",
            "--builtin-schema",
            "vendor.compose-spec",
            "docker-compose.rabbitmq.yml",
        ],
        ["caddy", "fmt", "--diff", "deploy/Caddyfile"],
    ],
    ids=lambda command: command[-1],
)
def test_file_is_well_formed(command: list[str]) -> None:
    words = [str(BIN / command[0]), *command[1:]]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_image_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])


@pytest.mark.parametrize("name", OURS)
def test_service_of_ours_can_write_nothing_and_do_little(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "ports" not in service
    assert not any(secret in service["environment"] for secret in COMPOSE["secrets"])


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_service_is_limited_and_can_be_scaled(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "mem_limit" in service
    assert "max-size" in service["logging"]["options"]
    assert "container_name" not in service


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_service_waits_for_the_migrations(name: str) -> None:
    waits = COMPOSE["services"][name]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"


def test_a_worker_is_given_more_time_than_its_jobs_take_to_stop() -> None:
    worker = COMPOSE["services"]["worker"]
    assert seconds(worker["stop_grace_period"]) >= config.ProductionConfig.JOBS_STOP + 15
    assert worker["environment"]["REMAP_SIGTERM"] == "SIGQUIT"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sh -c python&&exec&granian", "web"),
        ("celery -A celery_worker.celery worker --loglevel=info", "worker"),
        ("/sbin/docker-init -- celery -A celery_worker.celery worker", "worker"),
        ("/opt/venv/bin/python /opt/venv/bin/celery -A celery_worker.celery beat", "beat"),
    ],
)
def test_health_check_knows_the_role_of_a_container(command: str, expected: str) -> None:
    assert role(command.replace(" ", "\0")) == expected


def healthy(folder: Path, name: str, **variables: str) -> bool:
    """Run the health check of the image."""
    command = [sys.executable, str(ROOT / "scripts" / "healthcheck.py"), name]
    return subprocess.run(command, cwd=folder, env=variables, check=False).returncode == 0


def test_health_check_of_beat_looks_at_its_last_tick(tmp_path: Path) -> None:
    assert not healthy(tmp_path, "beat")
    schedule = tmp_path / "instance" / "celerybeat-schedule.db"
    schedule.parent.mkdir()
    schedule.touch()
    assert healthy(tmp_path, "beat")
    os.utime(schedule, (time.time() - 600, time.time() - 600))
    assert not healthy(tmp_path, "beat")


class Upstream(BaseHTTPRequestHandler):
    """Stands in for the application, and says what it was asked."""

    def do_GET(self) -> None:
        """Answer with the headers of the request; to one with a token leave out the end."""
        self.send_response(200)
        if TOKEN in self.path:
            self.send_header("Content-Length", "4001")
        self.send_header("Cache-Control", "max-age=86400")
        self.send_header("Content-Type", "text/css")
        self.end_headers()
        self.wfile.write(json.dumps(dict(self.headers)).encode().ljust(4000))

    def do_POST(self) -> None:
        """Answer with the body of the request, or hang up."""
        self.server.forms.append(self.path)  # type: ignore[attr-defined]
        if TOKEN in self.path:
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(port: int) -> ThreadingHTTPServer:
    """Serve at `port`, in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Upstream)
    server.forms = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_health_check_of_web_goes_through_no_proxy(tmp_path: Path) -> None:
    port = free_port()
    proxy = f"http://127.0.0.1:{free_port()}"
    with serve(port) as server:
        assert healthy(tmp_path, "web", PORT=str(port), http_proxy=proxy)
        server.shutdown()
    assert not healthy(tmp_path, "web", PORT=str(port), http_proxy=proxy)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[Process, str, int]]:
    """Return Caddy with our file, its address, and the port where it expects the application."""
    port, upstream = free_port(), free_port()
    environment = {
        "XDG_DATA_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "TRUSTED_HOSTS": f"http://127.0.0.1:{port}",
        "UPSTREAM": f"127.0.0.1:{upstream}",
    }
    command = [str(BIN / "caddy"), "run", "--config", str(caddyfile(tmp_path))]
    process = Process(command, environment)
    try:
        wait_until(lambda: answers(port), "Caddy answers")
        yield process, f"http://127.0.0.1:{port}", upstream
    finally:
        process.kill()


@pytest.fixture
def caddy(proxy: tuple[Process, str, int]) -> tuple[str, int]:
    """Return the address, and the port, of `proxy`."""
    return proxy[1:]


def ask(address: str, method: str = "GET", /, **headers: str):
    """Return the response; a POST has an empty body."""
    body = b"" if method == "POST" else None
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return direct.open(urllib.request.Request(address, body, headers))


def test_caddy_believes_no_visitor_and_tells_the_application_who_it_is(
    caddy: tuple[str, int],
) -> None:
    address, port = caddy
    with serve(port) as server:
        lies = {"X-Forwarded-For": "203.0.113.7", "X-Request-ID": "chosen-by-a-visitor"}
        with ask(f"{address}/", **lies) as response:
            seen = json.loads(response.read())
        server.shutdown()
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Host"] == address.removeprefix("http://")
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["X-Request-Id"] != lies["X-Request-ID"]
    assert ACCEPTABLE.fullmatch(seen["X-Request-Id"]), "else the application makes its own"


def test_caddy_hands_a_form_on_when_it_is_there(caddy: tuple[str, int]) -> None:
    address, port = caddy
    head = b"POST /contact HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8\r\n\r\n"
    with (
        serve(port) as server,
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as slow,
    ):
        slow.sendall(head + b"half")
        for _ in range(5):
            ask(f"{address}/").close()
        assert server.forms == []  # type: ignore[attr-defined]
        slow.sendall(b"half")
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert answer.read() == b"halfhalf"
        server.shutdown()


def test_caddy_keeps_no_address_with_a_token(proxy: tuple[Process, str, int]) -> None:
    process, address, port = proxy
    with serve(port) as server:
        with (
            pytest.raises(http.client.IncompleteRead),
            ask(f"{address}/users/confirm/{TOKEN}?token={TOKEN}") as response,
        ):
            response.read()
        process.wait_for("aborting with incomplete response")
        seen = len(process.output)
        with pytest.raises(urllib.error.HTTPError) as hung_up:
            ask(f"{address}/users/reset/{TOKEN}", "POST", Referer=f"{address}/{TOKEN}")
        server.shutdown()
    with hung_up.value as error:
        assert error.code == 502
        assert error.headers["X-Request-ID"] in error.read().decode()
    process.wait_for(f'"uuid":"{error.headers["X-Request-ID"]}"')
    # The reason stays: the end, or a reset, of the connection.
    wait_until(lambda: '"error":"' in process.output[seen:], "the reason")
    assert TOKEN not in process.output


def test_caddy_suits_the_server_behind_it() -> None:
    command = [str(BIN / "caddy"), "adapt", "--config", str(ROOT / "deploy" / "Caddyfile")]
    variables = {"TRUSTED_HOSTS": "stockpot.example"}
    adapted = subprocess.check_output(command, env=variables, stderr=subprocess.DEVNULL, text=True)
    assert '"keep_alive":{"enabled":false}' in adapted, "no form meets the end of a connection"
    (most,) = re.findall(r'"request_buffers":(\d+)', adapted)
    assert int(most) == config.Config.MAX_CONTENT_LENGTH


def test_caddy_compresses_and_lets_browsers_keep_what_never_changes(
    caddy: tuple[str, int],
) -> None:
    address, port = caddy
    with serve(port) as server:
        with ask(f"{address}/static/a.css?v=1", **{"Accept-Encoding": "zstd"}) as response:
            kept, encoding = response.headers.get_all("Cache-Control"), response.headers
        with ask(f"{address}/static/a.css") as response:
            asked_again = response.headers.get_all("Cache-Control")
        server.shutdown()
    assert encoding["Content-Encoding"] == "zstd"
    assert kept == ["public, max-age=31536000, immutable"]
    assert asked_again == ["max-age=86400"]


def test_caddy_lets_visitors_wait_while_the_application_is_replaced(
    caddy: tuple[str, int],
) -> None:
    address, port = caddy
    statuses: list[int] = []

    def visit() -> None:
        with ask(f"{address}/") as response:
            statuses.append(response.status)

    visitor = threading.Thread(target=visit)
    visitor.start()
    visitor.join(0.5)
    assert visitor.is_alive()
    with serve(port) as server:
        visitor.join(20)
        server.shutdown()
    assert statuses == [200]
