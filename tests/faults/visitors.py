"""Who registers addresses while things break: over HTTP, or with an application in this process."""

import http.client
import re
from collections.abc import Callable
from urllib.parse import urlencode

from flask import Flask

from tests.support import post

PASSWORD = "a stockpot full of soup"


class Visitor:
    """Somebody who registers one address after the other over HTTP."""

    def __init__(self, port: int, mend: Callable[[], object]) -> None:
        """Visit the web server at `port`; `mend` is called after each refusal."""
        self._port = port
        self._mend = mend
        self._cookie = self._token = ""

    def sign_up(self, email: str) -> bool:
        """Register `email`; tell whether the answer says that it worked."""
        try:
            if not self._token:
                _, page, self._cookie = self._ask("GET", "/users/register")
                found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
                self._token = found[1] if found else ""
            form = {"csrf_token": self._token, "email": email, "password": PASSWORD}
            return self._ask("POST", "/users/register", urlencode(form))[0] < 400
        except (OSError, http.client.HTTPException):
            return False

    def is_served(self) -> bool:
        """Mend what is broken; tell whether the server and what it needs are there."""
        self._mend()
        try:
            return self._ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        """Return status, text and cookie of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
            return response.status, response.read().decode(), cookie
        finally:
            connection.close()


class Guest(Visitor):
    """A visitor of an application in this process."""

    def __init__(self, app: Flask, mend: Callable[[], object]) -> None:
        """Visit `app`; `mend` is called after each refusal."""
        self._client = app.test_client()
        self._mend = mend
        self.statuses: set[int] = set()

    def sign_up(self, email: str) -> bool:
        """Register `email`; tell whether the answer says that it worked."""
        answer = post(self._client, "/users/register", email=email, password=PASSWORD)
        self.statuses.add(answer.status_code)
        return answer.status_code < 400

    def is_served(self) -> bool:
        """Mend what was broken."""
        self._mend()
        return True
