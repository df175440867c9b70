"""Whether this process lives, and whether what it depends on answers."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint, and let probes ask by address instead of by name."""
    from app.health.probes import ProbesByAddress
    from app.health.views import health_blueprint

    app.register_blueprint(health_blueprint)
    if app.config["TRUSTED_HOSTS"]:
        app.wsgi_app = ProbesByAddress(app.wsgi_app, app.config["TRUSTED_HOSTS"][0])
