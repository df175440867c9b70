"""The Celery application, made from `app.config["CELERY"]`."""

import logging
from contextlib import nullcontext
from typing import Any

from celery import Celery, Task
from celery.signals import before_task_publish, setup_logging
from flask import Flask, appcontext_popped, appcontext_pushed, current_app, g, has_app_context

from app.core import traces

# A worker takes from all of them in turn, so that a backlog in one does not delay the others.
QUEUES = ("mail", "default", "long", "sweep")

DEFAULTS: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_default_queue": "default",
    "worker_prefetch_multiplier": 1,
    "worker_hijack_root_logger": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "beat_sync_every": 1,  # beat writes at each tick, which scripts/healthcheck.py takes for life
}
# Redis gives an unacknowledged task to another worker after the visibility timeout (seconds), so
# it must be longer than the longest task.
ON_REDIS: dict[str, Any] = {
    "broker_transport_options": {"visibility_timeout": 3600},
    "task_queues": {name: {} for name in QUEUES},
}
# RabbitMQ confirms that it has what is published, and keeps it on several nodes.
ON_RABBITMQ: dict[str, Any] = {
    "broker_transport_options": {"confirm_publish": True},
    "task_queues": {name: {"queue_arguments": {"x-queue-type": "quorum"}} for name in QUEUES},
}


class FlaskTask(Task):
    """A task that runs in an application context of its own."""

    abstract = True

    @property
    def flask_app(self) -> Flask:
        """The application this task belongs to."""
        return self.app.flask_app  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task."""
        with self.flask_app.app_context():
            g.request_id = self.request.get("request_id")
            g.task_id = self.request.id
            carrier = self.request.get("trace")
            with traces.continued(carrier, self.name) if carrier else nullcontext():
                return self.run_in_context(*args, **kwargs)

    def run_in_context(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, in the context that is there."""
        return self.run(*args, **kwargs)


def init_app(app: Flask) -> None:
    """Make the Celery application of `app`; it is `app.extensions["celery"]`."""
    celery = Celery(app.import_name, task_cls=FlaskTask)
    celery.flask_app = app  # type: ignore[attr-defined]
    on_rabbitmq = app.config["CELERY"]["broker_url"].startswith("amqp")
    broker = ON_RABBITMQ if on_rabbitmq else ON_REDIS
    celery.config_from_object({**DEFAULTS, **broker, **app.config["CELERY"]})
    celery.set_default()
    app.extensions["celery"] = celery
    # Where several applications share a process, a task goes to the broker of the one in whose
    # context it is called.
    appcontext_pushed.connect(_use_own_celery, app)
    appcontext_popped.connect(_use_outer_celery, app)


def _use_own_celery(app: Flask, **_: Any) -> None:
    app.extensions["celery"].set_current()


def _use_outer_celery(_: Flask, **__: Any) -> None:
    if has_app_context():
        current_app.extensions["celery"].set_current()


@before_task_publish.connect
def _send_ids(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Send the id of the request along, so that its tasks log under the same id, and its trace."""
    if headers is None or not has_app_context():
        return
    ids = {"request_id": g.get("request_id"), "trace": traces.carrier()}
    headers.update({name: value for name, value in ids.items() if value})


@setup_logging.connect
def _keep_our_logging(loglevel: int | str | None = None, **_: Any) -> None:
    """Keep our handlers in the worker; `--loglevel` says what Celery's own loggers let through."""
    logging.getLogger("celery").setLevel(loglevel or logging.NOTSET)
