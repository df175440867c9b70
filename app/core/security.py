"""Response headers, the Content-Security-Policy with its nonce, and proxies in front."""

import hashlib
import secrets
from functools import cache
from pathlib import Path

from flask import Flask, Response, current_app, g, request, session
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.middleware.proxy_fix import ProxyFix

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Pico draws its icons from data: addresses.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; script-src 'self'"
)


def init_app(app: Flask) -> None:
    """Believe `PROXY_HOPS` proxies, count rate limits, and give templates `csp_nonce()`."""
    hops = app.config["PROXY_HOPS"]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    app.extensions["rate_limits"] = Limiter(get_remote_address, app=app)
    app.add_template_global(csp_nonce)
    app.add_template_global(asset)


def limit_rate(app: Flask, endpoint: str, limits: str) -> None:
    """Answer 429 to a client that posts to `endpoint` more often than `limits` says.

    Only such routes pay for counting. `limits` is written as "5 per minute; 30 per hour".
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
    version = version_of(current_app.static_folder, name)
    return f"{request.script_root}{current_app.static_url_path}/{name}?v={version}"


@cache
def version_of(folder: str | None, name: str) -> str:
    """Return a digest of a file in `folder`, read once in a process; a deployment starts new ones.

    A file that is not there has the version "none": a page is no place to fail for a picture.
    """
    try:
        return hashlib.sha256(Path(folder or "", name).read_bytes()).hexdigest()[:12]
    except OSError:
        return "none"


def add_security_headers(response: Response) -> Response:
    """Add the headers that the view has not set itself."""
    headers = response.headers
    if {"token", "email"}.intersection(request.view_args or ()):
        # What such a path holds goes no further, not into a log as the Referer of the next page.
        # The origin must: over HTTPS the CSRF protection asks for it.
        headers.setdefault("Referrer-Policy", "strict-origin")
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    headers.setdefault("Content-Security-Policy", POLICY + nonce)
    if current_app.config["HSTS"]:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if session and session.accessed:
        headers.setdefault("Cache-Control", "private, no-store")
    return response
