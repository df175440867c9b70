"""Worker entry with the tests' own tasks: `celery -A tests.jobs_worker.celery worker`.

`DIE_AT` names a step at which a process kills itself, `DIE_MARK` a file that lets it do so once.
"""

import functools
import os
import signal
import smtplib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.core import mail
from app.jobs import runner, store
from app.jobs.current import CurrentJob
from celery_worker import application, celery
from tests import jobs_tasks

__all__ = ["application", "celery", "jobs_tasks"]

# Half a day away, so that no tick falls into a test by itself.
AWAY = datetime.now(UTC) - timedelta(hours=12)
application.config["SCHEDULE"] = {
    "app.jobs.housekeeping.purge": {"hour": str(AWAY.hour), "minute": str(AWAY.minute)}
}

mail.TIMEOUT = 2.0  # seconds: a test does not wait for a server that hangs as long as users do


def die() -> None:
    """Kill this process, unless one died already."""
    try:
        Path(os.environ["DIE_MARK"]).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def die_around(
    owner: Any, name: str, *, before: bool = False, when: Callable[..., bool] | None = None
) -> None:
    """Let the process die before or after it calls `owner.name`."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        wanted = when is None or when(*args)
        if before and wanted:
            die()
        result = original(*args, **kwargs)
        if not before and wanted:
            die()
        return result

    setattr(owner, name, deadly)


STEPS: dict[str, Callable[[], None]] = {
    "claim": lambda: die_around(runner, "_run", before=True),
    "RCPT": lambda: die_around(smtplib.SMTP, "rcpt"),
    "hand-off": lambda: die_around(CurrentJob, "handoff"),
    "dot": lambda: die_around(
        smtplib.SMTP,
        "send",
        when=lambda _, text: isinstance(text, bytes) and text.endswith(b"\r\n.\r\n"),
    ),
    "250": lambda: die_around(mail.SmtpConnection, "send"),
    "before the commit": lambda: die_around(store, "succeed"),
}
if "DIE_AT" in os.environ:
    STEPS[os.environ["DIE_AT"]]()
