"""`/metrics` for Prometheus, which shows the token of METRICS_TOKEN."""

import hmac

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.core import metrics
from app.core.access import everyone

metrics_blueprint = Blueprint("metrics", __name__)


@metrics_blueprint.get("/metrics")
@everyone
def show() -> ResponseReturnValue:
    """Answer 200 with all measures to whoever has the token, else 401."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    authorization = request.authorization
    token = authorization.token if authorization and authorization.type == "bearer" else None
    if not hmac.compare_digest((token or "").encode(), app.config["METRICS_TOKEN"].encode()):
        raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))
    return metrics.exposed(app), {"Content-Type": CONTENT_TYPE_LATEST}
