"""Who asks for pages: wrk for many requests, and a small browser that fills forms."""

import itertools
import re
import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

CONNECTIONS = 16  # of wrk
AT_ONCE = 4  # forms
PASSWORD = "a stockpot full of soup"
NUMBERS = itertools.count(1)
NO_WRK = (
    "make bench needs wrk, which makes the requests: install it (`apt install wrk` on Debian and "
    "Ubuntu, `brew install wrk` on macOS) and run this again."
)


def find_wrk() -> str:
    """Return the path of wrk; raises SystemExit, with a sentence, where there is none."""
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit(NO_WRK)
    return path


def load(url: str, seconds: int, cookie: str = "") -> float:
    """Return how many requests a second a page answered; raises RuntimeError if any failed."""
    command = [find_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    if cookie:
        command += ["-H", f"Cookie: {cookie}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    speed = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not speed or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"Requests for {url} failed:\n{said}")
    return float(speed[1])


def measure(url: str, seconds: int, cookie: str = "") -> float:
    """Return the same after a warm-up."""
    load(url, 1, cookie)
    return load(url, seconds, cookie)


class Refused(RuntimeError):
    """A form was not accepted."""


class Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        """Return the answer as it is."""
        return fp


class Browser:
    """Keeps cookies and sends forms, each time from another address."""

    def __init__(self, root: str) -> None:
        """Visit the site at the address `root`."""
        self._root = root
        # A cookie for TLS alone goes to this machine without.
        policy = DefaultCookiePolicy(secure_protocols=("http", "https"))
        self._jar = CookieJar(policy)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), Stay(), urllib.request.HTTPCookieProcessor(self._jar)
        )

    @property
    def cookie(self) -> str:
        """What the server's cookies are, as a header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)

    def get(self, path: str) -> str:
        """Return a page."""
        with self._ask(path, None) as answer:
            return answer.read().decode()

    def form(self, path: str) -> dict[str, str]:
        """Return what a form brings along. Raises RuntimeError where there is none."""
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(path))
        if not found:
            raise RuntimeError(f"The page {path} has no form with a token.")
        return {"csrf_token": found[1]}

    def post(self, path: str, fields: dict[str, str]) -> float:
        """Send a form; return the seconds it took. Raises Refused if it was not accepted."""
        began = time.perf_counter()
        try:
            with self._ask(path, urlencode(fields).encode()) as answer:
                answer.read()
        except HTTPError as error:
            raise Refused(f"{path} answered {error}.") from None
        if answer.status != 302:
            raise Refused(f"{path} answered {answer.status}.")
        return time.perf_counter() - began

    def _ask(self, path: str, data: bytes | None) -> HTTPResponse:
        number = next(NUMBERS)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        request = urllib.request.Request(self._root + path, data, {"X-Forwarded-For": address})
        return self._opener.open(request, timeout=120)


def signed_in(root: str, email: str) -> str:
    """Sign in through the form; return the cookies."""
    browser = Browser(root)
    fields = browser.form("/users/login")
    browser.post("/users/login", {**fields, "email": email, "password": PASSWORD})
    if f"You are signed in as {email}" not in browser.get("/"):
        raise RuntimeError("The form signed nobody in.")
    return browser.cookie


@dataclass
class Posted:
    """Forms that were sent, four at a time."""

    times: list[float]  # seconds, of those that were accepted
    refused: int
    elapsed: float  # seconds, for all


def post_forms(root: str, path: str, emails: list[str]) -> Posted:
    """Send a form with an address and a password, for each of `emails` from a browser of its own.

    Raises Refused if none was accepted.
    """

    def prepare(email: str) -> tuple[Browser, dict[str, str]]:
        browser = Browser(root)
        return browser, {**browser.form(path), "email": email, "password": PASSWORD}

    def send(prepared: tuple[Browser, dict[str, str]]) -> float | None:
        browser, fields = prepared
        with suppress(Refused):
            return browser.post(path, fields)
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        forms = list(pool.map(prepare, emails))
        began = time.perf_counter()
        results = list(pool.map(send, forms))
        elapsed = time.perf_counter() - began
    times = [seconds for seconds in results if seconds is not None]
    if not times:
        raise Refused(f"{path} accepted no form.")
    return Posted(times, len(results) - len(times), elapsed)
