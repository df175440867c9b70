"""Whether this process lives, whether what it depends on answers, and measures of both."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint, and let probes ask by address instead of by name."""
    from app.health.probes import ProbesByAddress
    from app.health.views import health_blueprint

    app.register_blueprint(health_blueprint)
    if app.config["METRICS_TOKEN"]:
        # Who does not want them does not pay for them.
        from app.core import metrics
        from app.health.metrics import metrics_blueprint
        from app.jobs import metrics as job_metrics

        metrics.init_app(app)
        job_metrics.init_app(app)
        app.register_blueprint(metrics_blueprint)
    if app.config["TRUSTED_HOSTS"]:
        app.wsgi_app = ProbesByAddress(app.wsgi_app, app.config["TRUSTED_HOSTS"][0])
