"""The Celery application, made from `app.config["CELERY"]`."""

import logging
from typing import Any

from celery import Celery, Task
from celery.schedules import crontab
from celery.signals import before_task_publish, setup_logging
from flask import Flask, appcontext_pushed, g, has_app_context

EXPIRES = 3600  # seconds after which a tick that no worker took is dropped


def init_app(app: Flask) -> None:
    """Make the Celery application of `app`; it is `app.extensions["celery"]`."""

    class FlaskTask(Task):
        """A task that runs in an application context of its own."""

        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                g.request_id = self.request.get("request_id")
                g.task_id = self.request.id
                return self.run(*args, **kwargs)

    celery = Celery(app.import_name, task_cls=FlaskTask)
    celery.config_from_object(app.config["CELERY"])
    celery.conf.beat_schedule = {
        task: {"task": task, "schedule": crontab(**when), "options": {"expires": EXPIRES}}
        for task, when in app.config["SCHEDULE"].items()
    }
    celery.set_default()
    app.extensions["celery"] = celery
    # Where several applications share a process, a task goes to the broker of the one in whose
    # context it is called.
    appcontext_pushed.connect(_use_own_celery, app)


def _use_own_celery(app: Flask, **_: Any) -> None:
    app.extensions["celery"].set_current()


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Send the id of the request along, so that its tasks log under the same id."""
    if headers is not None and has_app_context() and g.get("request_id"):
        headers["request_id"] = g.request_id


@setup_logging.connect
def _keep_our_logging(loglevel: int | str | None = None, **_: Any) -> None:
    """Keep our handlers in the worker; `--loglevel` says what Celery's own loggers let through."""
    logging.getLogger("celery").setLevel(loglevel or logging.NOTSET)
