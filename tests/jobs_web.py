"""Web entry that dies between a commit and its hints, once for each file that it can make.

`DIE_MARKS` is the folder for these files, `DEATHS` how many there may be.
"""

import os
import signal
from pathlib import Path
from typing import Any

from app.jobs.relay import Hinter
from application import application

__all__ = ["application"]


class DyingHinter(Hinter):
    """Kills its process in place of a hint, as long as deaths are left."""

    def hint(self, *args: Any, **kwargs: Any) -> bool:
        """Die, or hint as ever."""
        marks = Path(os.environ["DIE_MARKS"])
        deaths = len(list(marks.iterdir()))
        if deaths < int(os.environ["DEATHS"]):
            (marks / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().hint(*args, **kwargs)


application.extensions["hinter"].__class__ = DyingHinter
