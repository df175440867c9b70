"""Web entry with a page that enqueues a job and a task, both of which fail, and then fails."""

import logging

from flask import request

from app.core.access import everyone
from app.extensions import db
from application import application
from tests import jobs_tasks as tasks

__all__ = ["application"]

logger = logging.getLogger(__name__)


@application.get("/traced")
@everyone
def traced() -> None:
    """Fail as badly as can be, with secrets in all that is said about it."""
    password = request.args["password"]
    # A job for later gets no hint from here: what continues the trace must be in its row.
    tasks.fail_for_good.apply_async_on_commit(("permanent",), countdown=0.1)
    db.session.commit()
    tasks.leave_in_g.delay(request.args["path"])
    logger.warning("password=%s", password, extra={"token": password})
    raise RuntimeError(f"ada@example.com has the password={password}")
