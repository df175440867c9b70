"""`/healthz` for whoever restarts processes, `/readyz` for whoever sends them traffic."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from app.core import checks
from app.core.access import everyone

SECONDS = 1.0

health_blueprint = Blueprint("health", __name__)


@health_blueprint.get("/healthz")
@everyone
def healthz() -> ResponseReturnValue:
    """Answer 200 as long as the process does; nothing else is asked."""
    return {"status": "ok"}


@health_blueprint.get("/readyz")
@everyone
def readyz() -> ResponseReturnValue:
    """Answer 200 when database and broker answer within a second each, else 503 and which not."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    probes = {"database": checks.database, "broker": checks.broker}
    failing = [name for name, probe in probes.items() if checks.failure_of(probe, app, SECONDS)]
    if failing:
        return {"status": "unavailable", "failing": failing}, 503
    return {"status": "ok"}
