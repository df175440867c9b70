"""Worker and beat entry: `celery -A celery_worker.celery worker`."""

import signal
from contextlib import suppress
from pathlib import Path

from celery.signals import worker_process_init

from app import create_app
from app.extensions import db

application = create_app()
celery = application.extensions["celery"]

# Beat keeps its schedule there and makes no folder. A worker needs none, so it may be impossible.
with suppress(OSError):
    Path(application.instance_path).mkdir(exist_ok=True)


@worker_process_init.connect
def use_own_connections(**_: object) -> None:
    """Forget the parent's database connections: two processes must not share a socket."""
    with application.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
    # A worker that is stopped at once ends its processes with this signal: their jobs are let go.
    signal.signal(signal.SIGTERM, leave)


def leave(*_: object) -> None:
    """End the process in an orderly way."""
    raise SystemExit(0)
