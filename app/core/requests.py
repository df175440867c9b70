"""The id of a request, wherever it leaves a trace, and its line in the log."""

import logging
import re
import secrets
import time

from flask import Response, g, has_app_context, has_request_context, request

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
KEY = "app.request_id"  # in the WSGI environment, which belongs to one request only
BEGUN = "app.begun"  # likewise; on the clock of this process
# What a proxy may send: long enough for a UUID, and nothing that could forge a log line.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def assign_request_id() -> None:
    """Take the id that a proxy gave this request, if it is well-formed, else make one."""
    if KEY not in request.environ:
        request.environ[BEGUN] = time.perf_counter()
        given = request.headers.get(HEADER, "")
        wanted = given if ACCEPTABLE.fullmatch(given) else secrets.token_hex(8)
        request.environ[KEY] = g.request_id = wanted


def current_request_id() -> str | None:
    """Return the id of this request, or of the one whose task this is.

    A request has it from its first log line on, even when an extension refuses it before our own
    callback is called.
    """
    if has_request_context():
        assign_request_id()
    return g.get("request_id") if has_app_context() else None


def return_request_id(response: Response) -> Response:
    """Tell the client the id, so that people can quote it."""
    response.headers[HEADER] = current_request_id()
    return response


def log_request(response: Response) -> Response:
    """Write who asked for what, and how it ended.

    Never a query, and no path with a token in it: they sign people in.
    """
    rule = request.url_rule
    secret = rule is not None and "token" in rule.arguments
    path = rule.rule if rule and secret else request.path
    milliseconds = seconds_since_the_begin() * 1000
    logger.info("%s %s %d in %.0f ms", request.method, path, response.status_code, milliseconds)
    return response


def seconds_since_the_begin() -> float:
    """Return how long this request has taken so far."""
    return time.perf_counter() - request.environ[BEGUN]
