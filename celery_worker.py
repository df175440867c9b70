"""Worker and beat entry: `celery -A celery_worker.celery worker`."""

from contextlib import suppress
from pathlib import Path

from celery.signals import worker_process_init

from app import create_app
from app.extensions import db

application = create_app()
celery = application.extensions["celery"]

# Beat keeps its schedule there, and a worker the file that its health check in a container reads.
# Elsewhere a worker needs none, so it may be impossible.
with suppress(OSError):
    Path(application.instance_path).mkdir(exist_ok=True)


@worker_process_init.connect
def use_own_connections(**_: object) -> None:
    """Forget the parent's database connections: two processes must not share a socket."""
    with application.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
