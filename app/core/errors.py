"""One place that answers errors: a page for people, `application/problem+json` for programs."""

import logging
from http import HTTPStatus

from flask import Flask, Response, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from jinja2 import Template
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import (
    BadRequestKeyError,
    HTTPException,
    SecurityError,
    ServiceUnavailable,
)

from app.core.requests import current_request_id
from app.extensions import db

logger = logging.getLogger(__name__)

DATABASE_DOWN = (OperationalError, PoolTimeout)
STALE_FORM = (
    "This form has expired, or your browser did not send its cookie. "
    "Go back, reload the page and send the form again."
)


def register_error_pages(app: Flask) -> None:
    """Answer every HTTP error, and every exception nobody caught, in our own words."""
    app.register_error_handler(HTTPException, answer_http_error)
    for kind in DATABASE_DOWN:
        app.register_error_handler(kind, answer_database_error)


def answer_http_error(error: HTTPException) -> ResponseReturnValue:
    """Answer `error` as a page or as JSON, whichever the client asks for.

    The session is rolled back first: a commit that was planned for the end of the request must
    not store what belongs to a request that failed.
    """
    if error.code is None or error.code < 400:
        return error.get_response()
    db.session.rollback()
    if isinstance(getattr(error, "original_exception", None), DATABASE_DOWN):
        error = ServiceUnavailable()
    detail = STALE_FORM if isinstance(error, CSRFError) else _detail_of(error)
    response = _as_json(error, detail) if wants_json() else _as_page(error, detail)
    for name, value in error.get_headers(request.environ):
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Answer 503 when the database does not."""
    logger.error("The database does not answer", exc_info=error)
    return answer_http_error(ServiceUnavailable())


def wants_json() -> bool:
    """Tell whether the client asks for JSON rather than for a page."""
    accept = request.accept_mimetypes
    best = accept.best_match(["text/html", "application/json", "application/problem+json"])
    return best not in (None, "text/html")


def _detail_of(error: HTTPException) -> str | None:
    """Return what a view said with `abort(code, "…")`, not Werkzeug's own words."""
    if isinstance(error, BadRequestKeyError):
        return None
    return error.description if error.description != type(error).description else None


def _as_json(error: HTTPException, detail: str | None) -> Response:
    """Source: RFC 9457."""
    code = error.code or 500
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": detail or HTTPStatus(code).description,
        "request_id": current_request_id(),
    }
    return make_response(problem, code, {"Content-Type": "application/problem+json"})


def _as_page(error: HTTPException, detail: str | None) -> Response:
    code = error.code or 500
    context = {
        "code": code,
        "title": HTTPStatus(code).phrase,
        "detail": detail,
        "request_id": current_request_id(),
    }
    names: list[str | Template] = [f"{code}.html", "500.html" if code >= 500 else "400.html"]
    if code < 500 and not isinstance(error, SecurityError):
        return make_response(render_template(names, **context), code)
    # No context processors, which would ask the database who is signed in, and no navigation.
    page = current_app.jinja_env.get_or_select_template(names).render(context, plain=True)
    return make_response(page, code)
