"""Worker entry of the usual design: one application context for the life of the worker."""

from benchmarks.baseline import create_app, tasks

application = create_app()
application.app_context().push()
celery = application.extensions["celery"]

__all__ = ["application", "celery", "tasks"]
