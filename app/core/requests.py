"""The id of a request: in its log lines, its response, its error page and its tasks."""

import re
import secrets

from flask import Response, g, request

HEADER = "X-Request-ID"
# What a proxy may send: long enough for a UUID, and nothing that could forge a log line.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def assign_request_id() -> None:
    """Take the id that a proxy gave this request, if it is well-formed, else make one."""
    given = request.headers.get(HEADER, "")
    g.request_id = given if ACCEPTABLE.fullmatch(given) else secrets.token_hex(8)


def return_request_id(response: Response) -> Response:
    """Tell the client the id, so that people can quote it."""
    if "request_id" in g:
        response.headers[HEADER] = g.request_id
    return response
