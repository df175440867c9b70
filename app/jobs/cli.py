"""`flask jobs`: see, repeat, stop and delete jobs, and ask whether they are done."""

import sys
import uuid
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.extensions import db
from app.jobs import services
from app.jobs.models import CLOSED, OPEN, Job


class JobsGroup(AppGroup):
    """Commands that need the database, and say so in a sentence when it fails them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; raises ClickException, which is a sentence and the exit code 1."""
        try:
            return super().invoke(ctx)
        except (DBAPIError, PoolTimeout) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise click.ClickException(
                f"The database cannot be asked: {reason}. `flask doctor` says what is missing."
            ) from None


jobs = JobsGroup("jobs", help="See, repeat, stop and delete durable jobs.")


@jobs.command("list")
@click.option("--state", type=click.Choice([*OPEN, *CLOSED]))
@click.option("--task", help="The full name of a task.")
@click.option("--limit", default=50, show_default=True)
def list_jobs(state: str | None, task: str | None, limit: int) -> None:
    """List the newest jobs."""
    for job in services.newest(state, task, limit=limit):
        click.echo(
            f"{job.id}  {job.state:<9}  {job.attempts}/{job.max_attempts}  "
            f"{job.created_at:%Y-%m-%d %H:%M:%S}  {job.task}"
        )


@jobs.command()
@click.argument("job_id", type=click.UUID)
def show(job_id: uuid.UUID) -> None:
    """Show one job, with its secret arguments as stars."""
    job = services.find(job_id) or _unknown(job_id)
    hidden = {"arguments", "lease"}
    for column in Job.__table__.columns:
        if column.name not in hidden:
            click.echo(f"{column.name:<13} {getattr(job, column.name)}")
    click.echo(f"{'arguments':<13} {services.shown_arguments(job)}")


@jobs.command()
@click.argument("job_ids", type=click.UUID, nargs=-1)
@click.option("--task", help="Replay all dead and held jobs of this task.")
def replay(job_ids: tuple[uuid.UUID, ...], task: str | None) -> None:
    """Queue dead or held jobs again."""
    if bool(job_ids) == bool(task):
        raise click.UsageError("Name the jobs to replay, or else their task with --task.")
    count = services.replay(job_ids, task)
    db.session.commit()
    click.echo(f"{count} jobs are queued again.")


@jobs.command()
@click.argument("job_id", type=click.UUID)
def cancel(job_id: uuid.UUID) -> None:
    """Cancel a job: at once if it is queued, when its task looks if it runs."""
    state = services.cancel(job_id) or _unknown(job_id)
    db.session.commit()
    click.echo(f"The job is {state}.")


@jobs.command()
def purge() -> None:
    """Delete finished jobs that are old enough (7 days, 90 for dead ones)."""
    total = 0
    while count := services.purge():
        db.session.commit()
        total += count
    click.echo(f"{total} jobs are deleted.")


@jobs.command()
def stats() -> None:
    """Show how the jobs of each task are."""
    click.echo("queued running dead held oldest(s) mean run(s) task")
    for row in services.figures():
        click.echo(
            f"{row.queued:>6} {row.running:>7} {row.dead:>4} {row.held:>4} "
            f"{row.oldest:>9.1f} {row.mean_run:>11.3f} {row.task}"
        )


@jobs.command()
@click.option("--max-age", default=300.0, show_default=True, help="Seconds a due job may wait.")
@click.option("--max-silence", default=60.0, show_default=True, help="Seconds without a sweep.")
def health(max_age: float, max_silence: float) -> None:
    """Exit with 1 when jobs are not done, whichever worker should do them."""
    found = services.problems(max_age, max_silence)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        sys.exit(1)
    click.echo("Jobs are being done.")


def _unknown(job_id: uuid.UUID) -> Job:
    raise click.ClickException(f"There is no job {job_id}.")
