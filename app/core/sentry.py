"""Errors for Sentry, without secrets; those of a job belong to the trace of its request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk
from flask import Flask, g, has_app_context
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.flask import FlaskIntegration

from app.core.requests import current_request_id

TRACE = "sentry-trace"


class Sentry:
    """Reports what an application logs as an error, and what it fails to handle."""

    def __init__(self, app: Flask) -> None:
        """Report to the project of SENTRY_DSN; the last application of a process decides."""
        self._redact = app.extensions["redactor"]
        sentry_sdk.init(
            app.config["SENTRY_DSN"],
            integrations=[FlaskIntegration(), CeleryIntegration()],
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            before_send=self._cleaned,
            # Nobody can tell by their form which values of a function or a form are secret.
            include_local_variables=False,
            max_request_body_size="never",
            send_default_pii=False,
        )

    def inject(self, carrier: dict[str, str]) -> None:
        """Add the id of the trace."""
        if found := sentry_sdk.get_traceparent():
            carrier[TRACE] = found

    @contextmanager
    def continued(self, carrier: dict[str, str], name: str) -> Iterator[None]:
        """Let errors belong to the trace of `carrier` and to the task `name`."""
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.set_transaction_name(name)
            scope.generate_propagation_context({TRACE: carrier[TRACE]} if TRACE in carrier else {})
            yield

    def note(self, error: BaseException) -> None:
        """Do nothing: a failed attempt is a warning, and a dead job is logged as an error."""

    def _cleaned(self, event: Any, _: dict[str, Any]) -> Any:
        """Return `event` fit to leave this machine, with the ids that are in our log lines."""
        crumbs = event.get("breadcrumbs", {}).get("values", [])
        for bag in (event.get("extra"), *(crumb.get("data") for crumb in crumbs)):
            (bag or {}).pop("context", None)  # of our log lines, with the visitor's address
        # What is formatted says the same, and a secret is known there by the name before it.
        event.get("logentry", {}).pop("params", None)
        event = self._redact.clean(event)
        ids = {"request_id": current_request_id(), "task_id": _task_id()}
        event["tags"] = {**event.get("tags", {}), **{k: v for k, v in ids.items() if v}}
        return event


def _task_id() -> str | None:
    return g.get("task_id") if has_app_context() else None
