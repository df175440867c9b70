"""How servers and workers are started: by the lines of the Procfile."""

from benchmarks.stand import CORES
from tests.support import ROOT

GUNICORN = (
    "exec gunicorn --worker-class gthread --workers $WEB_CONCURRENCY --threads 4 "
    "--bind $HOST:$PORT application:application"
)
OURS = "celery_worker.celery"


def line_of_procfile(name: str) -> str:
    """Return the command of a process."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    return next(line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: "))


WEB = line_of_procfile("web")


def worker(application: str = OURS, processes: int = CORES) -> str:
    """Return the line `worker` of the Procfile, for another Celery application."""
    line = line_of_procfile("worker").replace(OURS, application)
    return f"{line} --concurrency={processes}"
