"""The application factory."""

from importlib import import_module
from typing import Any

from flask import Flask

import config
from app.cli import register_commands
from app.core import celery, database, mail, menu, requests, security, traces
from app.core.errors import register_error_pages
from app.core.logging import configure_logging
from app.extensions import csrf, db
from app.jobs import init_app as init_jobs

FEATURES = ("auth", "main", "health", "mailbox")


def create_app(config_type: str | None = None, **overrides: Any) -> Flask:
    """Return an application configured by the class `config_type` and by `overrides`.

    Without `config_type` the variable `CONFIG_TYPE` decides. `overrides` win over everything.
    Raises ConfigurationError, which names every variable that is wrong.
    """
    app = Flask(__name__, instance_path=str(config.INSTANCE))
    configure(app, config_type, overrides)
    configure_logging(app)
    initialize_extensions(app)
    register_blueprints(app)
    register_commands(app)
    register_request_callbacks(app)
    register_error_pages(app)
    return app


def configure(app: Flask, config_type: str | None, overrides: dict[str, Any]) -> None:
    """Fill `app.config` from the configuration class, then from what is set besides."""
    settings = config.load(config_type, overrides)
    app.config.from_object(settings)
    app.config.from_mapping(settings.others)


def initialize_extensions(app: Flask) -> None:
    """Bind what all features share to this application; nothing connects yet."""
    database.init_app(app, db)
    csrf.init_app(app)
    security.init_app(app)
    celery.init_app(app)
    traces.init_app(app)
    mail.init_app(app)
    menu.init_app(app)
    init_jobs(app)
    import_module("app.tasks")  # so that a worker knows the tasks of the whole application


def register_blueprints(app: Flask) -> None:
    """Let each feature register its blueprint, its tasks and its menu entries."""
    for feature in FEATURES:
        import_module(f"app.{feature}").init_app(app)


def register_request_callbacks(app: Flask) -> None:
    """Give each request its id, each response its headers, and the log a line."""
    app.before_request(requests.assign_request_id)
    app.after_request(requests.log_request)
    app.after_request(requests.return_request_id)
    app.after_request(security.add_security_headers)
