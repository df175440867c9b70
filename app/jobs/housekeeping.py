"""What keeps the table of jobs small and its failures known."""

from collections import Counter
from datetime import timedelta

from celery import shared_task
from flask import current_app
from sqlalchemy import select

from app.extensions import db
from app.jobs import services
from app.jobs.models import DEAD, HELD, Job, moment
from app.jobs.sweep import beat
from app.jobs.task import DurableTask

DAY = 86400.0  # seconds


@shared_task(base=DurableTask)
def purge() -> int:
    """Delete finished jobs that are old enough, a thousand a transaction; return how many."""
    total = 0
    while count := services.purge():
        db.session.commit()
        total += count
    return total


@shared_task(base=DurableTask)
def report_dead() -> int:
    """Mail `ADMINS` what died, or was held for a person, since the last report; return how many.

    A job may have ended just before that report and been committed after it, so a minute is looked
    at twice.
    """
    before = beat("report of the dead")
    since = before - timedelta(minutes=1) if before else moment(-DAY)
    dead = db.session.execute(
        select(Job.task, Job.error).where(Job.state.in_((DEAD, HELD)), Job.finished_at > since)
    ).all()
    kinds = Counter((task, (error or "").partition("\n")[0][:200]) for task, error in dead)
    lines = [
        {"task": task, "error": error, "count": count}
        for (task, error), count in kinds.most_common(50)
    ]
    if lines:
        mail = current_app.extensions["celery"].tasks["app.tasks.send_email"]
        for admin in current_app.config["ADMINS"]:
            mail.delay_on_commit(admin, "mail/dead_jobs", {"lines": lines, "total": len(dead)})
    return len(dead)
