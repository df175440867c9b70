"""Probes of `flask doctor` about jobs, in the form that app/core/checks.py describes."""

from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import select

from app.core.checks import Doubt
from app.extensions import db
from app.jobs import services
from app.jobs.models import Heartbeat, moment

OLDEST, SILENCE = 300.0, 60.0  # seconds: what `flask jobs health` allows
BEAT_SILENCE = 120.0  # seconds; beat ticks every 30
CLOCK = 5.0  # seconds that two clocks may differ


def jobs(app: Flask) -> str:
    """Tell that due jobs are done; raises RuntimeError when they are not."""
    with app.app_context():
        if problems := services.problems(OLDEST, SILENCE):
            raise RuntimeError(" ".join(problems))
    return "being done"


def beat(app: Flask) -> str:
    """Return when beat last ticked; raises Doubt when that is long ago.

    A worker notes it when it does the sweep that beat sent, so this needs a worker too.
    """
    with app.app_context():
        beaten = db.session.get(Heartbeat, "beat")
        now = db.session.execute(select(moment())).scalar_one()
    if beaten is None:
        raise Doubt("No tick of beat was ever seen. Workers keep the schedule without it.")
    silence = (now - beaten.beaten_at).total_seconds()
    if silence > BEAT_SILENCE:
        raise Doubt(f"It ticked {silence:.0f} s ago. Workers keep the schedule without it.")
    return f"ticked {max(0.0, silence):.0f} s ago"


def clock(app: Flask) -> str:
    """Compare this machine's clock with the database's; raises RuntimeError when they differ."""
    with app.app_context():
        before = datetime.now(UTC)
        theirs = db.session.execute(select(moment())).scalar_one()
        after = datetime.now(UTC)
    # The answer was made at some moment in between.
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if apart > CLOCK:
        raise RuntimeError(f"This machine and the database are {apart:.0f} s apart.")
    return "as the database's"
