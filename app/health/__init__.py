"""Whether this process lives, and whether what it depends on answers."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint."""
    from app.health.views import health_blueprint

    app.register_blueprint(health_blueprint)
