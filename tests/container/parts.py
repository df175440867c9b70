"""What the checks need of a site: a visitor, secrets, Caddy."""

import http.cookiejar
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.container.engine import Container
from tests.support import ROOT, Process, Valkey, free_port
from tests.test_config import MARKER


class Browser:
    """A visitor with cookies, who trusts the authority that Caddy made for this test."""

    def __init__(self, address: str, authority: Path) -> None:
        """Visit nothing yet."""
        self.address = address
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))),
        )

    def open(self, path: str, form: dict[str, str] | None = None, encoding: str = "identity"):
        """Return the response."""
        data = urllib.parse.urlencode(form).encode() if form else None
        headers = {"Referer": self.address, "Accept-Encoding": encoding}
        return self._opener.open(urllib.request.Request(self.address + path, data, headers))

    def read(self, path: str, **form: str) -> str:
        """Return the page at `path`, or what it answers to the form on it."""
        page = self.open(path).read().decode()
        if not form:
            return page
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token
        return self.open(path, {"csrf_token": token[1], **form}).read().decode()


@dataclass
class Site:
    """Everything that docker-compose.yml starts."""

    browser: Browser
    containers: dict[str, Container]
    start: Callable[[str], Container]
    port: int


def secrets(folder: Path, database: str, valkey: Valkey) -> Path:
    """Return a folder with the secrets, as files."""
    folder.mkdir()
    values = {
        "SECRET_KEY": os.urandom(32).hex(),
        "SECURITY_PASSWORD_SALT": os.urandom(32).hex(),
        "METRICS_TOKEN": MARKER,
        "DATABASE_URL": re.sub(r"host=.*", "host=/run/postgresql", database),
        "CELERY_BROKER_URL": valkey.url(0),
        "REDIS_URL": valkey.url(1),
    }
    for name, value in values.items():
        (folder / name).write_text(value, "utf-8")
    folder.chmod(0o755)
    return folder


def caddyfile(folder: Path, *options: str) -> Path:
    """Write our file to `folder`, for this machine alone and with more options; return its path."""
    file = folder / "Caddyfile"
    ours = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    options = ("{", "admin off", "default_bind 127.0.0.1", *options, "")
    file.write_text(ours.replace("{\n", "\n".join(options), 1), "utf-8")
    return file


def caddy(folder: Path, port: int, upstream: int) -> Process:
    """Start Caddy with our file, an authority of its own, and ports that are free."""
    file = caddyfile(folder, "skip_install_trust", f"http_port {free_port()}")
    environment = {
        **os.environ,
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "TRUSTED_HOSTS": f"localhost:{port}",
        "UPSTREAM": f"127.0.0.1:{upstream}",
    }
    command = Path(sys.executable).with_name("caddy")
    process = Process([str(command), "run", "--config", str(file)], environment)
    process.wait_for("certificate obtained successfully")
    return process
