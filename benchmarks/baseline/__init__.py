"""What Stockpot is compared with: a Flask application of the usual design, written for this.

A factory, a blueprint, Flask-WTF, Flask-Login, Flask-SQLAlchemy and Flask-Mail, a rotating log
file, and mails that a Celery task sends, each on a connection of its own. It renders the same pages
and mails as Stockpot.
"""

import logging
import os
from logging.handlers import RotatingFileHandler

from celery import Celery
from flask import Flask
from flask.logging import default_handler
from flask_login import current_user

from benchmarks.bare import lend_templates
from benchmarks.baseline.extensions import csrf, db, login, mail
from benchmarks.baseline.views import main_blueprint

LINE = "%(asctime)s %(levelname)s: %(message)s [in %(filename)s: %(lineno)d]"
FILE_SIZE = 5 * 1024 * 1024  # bytes, as in Stockpot: a smaller file rotates more often
FILE_COUNT = 5


def create_app() -> Flask:
    """Return an application configured by the environment."""
    app = Flask(__name__)
    configure(app)
    initialize_extensions(app)
    app.register_blueprint(main_blueprint)
    configure_logging(app)
    return app


def configure(app: Flask) -> None:
    """Take from the environment what the stand says."""
    app.config.update(
        SECRET_KEY=os.environ["SECRET_KEY"],
        SQLALCHEMY_DATABASE_URI=os.environ["SQLALCHEMY_DATABASE_URI"],
        CELERY_BROKER_URL=os.environ["CELERY_BROKER_URL"],
        MAIL_SERVER=os.environ["MAIL_SERVER"],
        MAIL_PORT=int(os.environ["MAIL_PORT"]),
        MAIL_DEFAULT_SENDER="noreply@stockpot.example",
    )


def initialize_extensions(app: Flask) -> None:
    """Bind the extensions, make the Celery application, and lend the templates."""
    db.init_app(app)
    login.init_app(app)
    csrf.init_app(app)
    mail.init_app(app)
    app.extensions["celery"] = Celery(app.import_name, broker=app.config["CELERY_BROKER_URL"])
    app.extensions["celery"].conf.task_ignore_result = True
    app.extensions["celery"].set_default()
    lend_templates(app)
    app.add_template_global(lambda: current_user.is_authenticated, "signed_in")


def configure_logging(app: Flask) -> None:
    """Write every line to a file that rotates."""
    handler = RotatingFileHandler(
        os.environ["LOG_FILE"], maxBytes=FILE_SIZE, backupCount=FILE_COUNT
    )
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter(LINE))
    app.logger.removeHandler(default_handler)
    app.logger.setLevel(logging.INFO)
    app.logger.addHandler(handler)
