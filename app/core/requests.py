"""The id of a request: in its log lines, its response, its error page and its tasks."""

import re
import secrets

from flask import Response, g, has_app_context, has_request_context, request

HEADER = "X-Request-ID"
KEY = "app.request_id"  # in the WSGI environment, which belongs to one request only
# What a proxy may send: long enough for a UUID, and nothing that could forge a log line.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def assign_request_id() -> None:
    """Take the id that a proxy gave this request, if it is well-formed, else make one."""
    if KEY not in request.environ:
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
