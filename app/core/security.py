"""Response headers, the Content-Security-Policy with its nonce, and proxies in front."""

import hashlib
import secrets
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, current_app, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from werkzeug.middleware.proxy_fix import ProxyFix

# Pico draws its icons from data: addresses.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; script-src 'self'"
)
HSTS = "max-age=31536000; includeSubDomains"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Cookie",  # every page shows who has signed in
}


class Sessions(SecureCookieSessionInterface):
    """Flask's own, which prepares to check a signature where there is nothing to check, too."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the cookie, an empty one without a cookie."""
        if self.get_cookie_name(app) in request.cookies:
            return super().open_session(app, request)
        return self.session_class()


class Limits(Limiter):
    """Flask-Limiter, in which several threads may find out at once that the store is gone.

    The first of them turns to the counts of its own process. To the others it looks as if these
    failed as well, and their visitors would get a 500.
    """

    def _check_request_limit(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._check_request_limit(*args, **kwargs)
        except RateLimitExceeded:
            raise
        except Exception:
            if not self._storage_dead:
                raise
            super()._check_request_limit(*args, **kwargs)


def init_app(app: Flask) -> None:
    """Believe `PROXY_HOPS` proxies, count rate limits, and give templates `csp_nonce()`."""
    hops = app.config["PROXY_HOPS"]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    app.session_interface = Sessions()
    limiter = Limits(get_remote_address)
    # It looks at every request of an application that does not know it yet. Only the routes of
    # limit_rate() shall pay for counting.
    app.extensions["limiter"] = {limiter}
    limiter.init_app(app)
    app.extensions["rate_limits"] = limiter
    hsts = {"Strict-Transport-Security": HSTS} if app.config["HSTS"] else {}
    app.extensions["security_headers"] = [*{**HEADERS, **hsts}.items()]
    # Each file is read once in a process; a deployment starts new ones.
    app.extensions["asset_paths"] = cache(partial(path_of_asset, app))
    app.add_template_global(csp_nonce)
    app.add_template_global(asset)


def limit_rate(app: Flask, endpoint: str, limits: str) -> None:
    """Answer 429 to a client that posts to `endpoint` more often than `limits` says.

    `limits` is written as "5 per minute; 30 per hour".
    """
    view = app.view_functions[endpoint]
    limiter: Limiter = app.extensions["rate_limits"]
    app.view_functions[endpoint] = limiter.limit(limits, methods=["POST"])(view)  # type: ignore[assignment]


def csp_nonce() -> str:
    """Return the nonce of this response, for a script element that must be inline."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return g.csp_nonce


def asset(name: str) -> str:
    """Return the address of a file under `static/`; needs no valid host, unlike `url_for`.

    It changes with the content of the file: browsers keep files for a day without asking again.
    """
    return request.script_root + current_app.extensions["asset_paths"](name)


def path_of_asset(app: Flask, name: str) -> str:
    """Return the path of a file under `static/` with a digest of its content.

    A file that is not there has the version "none": a page is no place to fail for a picture.
    """
    try:
        content = Path(app.static_folder or "", name).read_bytes()
        version = hashlib.sha256(content).hexdigest()[:12]
    except OSError:
        version = "none"
    return f"{app.static_url_path}/{name}?v={version}"


def add_security_headers(response: Response) -> Response:
    """Add the headers that the view has not set itself."""
    headers = response.headers
    already = {name for name, _ in headers}
    if "csp_nonce" in g and "Content-Security-Policy" not in already:
        headers["Content-Security-Policy"] = f"{POLICY} 'nonce-{g.csp_nonce}'"
        already.add("Content-Security-Policy")
    if {"token", "email"}.intersection(request.view_args or ()):
        # What such a path holds goes no further, not into a log as the Referer of the next page.
        # The origin must: over HTTPS the CSRF protection asks for it.
        headers["Referrer-Policy"] = "strict-origin"
        already.add("Referrer-Policy")
    fixed = current_app.extensions["security_headers"]
    headers.extend([(name, value) for name, value in fixed if name not in already])
    if session and session.accessed:
        headers.setdefault("Cache-Control", "private, no-store")
    return response
