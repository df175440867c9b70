"""Commands of the whole application."""

import sys
from dataclasses import dataclass

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext
from werkzeug.utils import import_string

from app.core import checks
from app.core.checks import Probe
from app.extensions import db
from app.jobs import checks as jobs_checks

SECONDS = 5.0


@dataclass(frozen=True)
class Row:
    """A line of the doctor's table: what is asked, what helps, what must answer before."""

    probe: Probe
    remedy: str
    needs: str = ""


ROWS = {
    "database": Row(checks.database, "Start it, or correct DATABASE_URL."),
    "migrations": Row(checks.migrations, "Run `flask db upgrade`.", "database"),
    "broker": Row(checks.broker, "Start it, or correct CELERY_BROKER_URL."),
    "workers": Row(
        checks.workers,
        "Start `celery -A celery_worker.celery worker`; its `-Q`, if any, must name each queue.",
        "broker",
    ),
    "jobs": Row(
        jobs_checks.jobs,
        "Read the workers' log, restart them, or start more; `flask jobs stats` says which task.",
        "migrations",
    ),
    "beat": Row(
        jobs_checks.beat,
        "Start `celery -A celery_worker.celery beat`; it ticks every half minute.",
        "migrations",
    ),
    "rate limits": Row(checks.rate_limits, "Start it, or correct REDIS_URL."),
    "mail server": Row(
        checks.smtp, "Start it, or correct MAIL_SERVER and the other MAIL_ settings."
    ),
    "proxies": Row(checks.proxies, "Set PROXY_HOPS to the number of proxies in front."),
    "disk": Row(checks.disk, "Make room there: old logs and backups first."),
    "clock": Row(
        jobs_checks.clock,
        "Let both machines take their time from one server (NTP): codes and links expire by it.",
        "database",
    ),
}


def register_commands(app: Flask) -> None:
    """Add `flask doctor`, and `flask db` where the command line asks for it."""
    app.cli.add_command(doctor)
    context = click.get_current_context(silent=True)
    if context and context.find_object(ScriptInfo):
        # Alembic takes as long to import as everything else here; no server needs it.
        import_string("flask_migrate.Migrate")(app, db)


@click.command
@with_appcontext
def doctor() -> None:
    """Check what the application depends on; say what to do where it fails, and exit with 1."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    redact = app.extensions["redactor"]
    # A configuration that cannot be used ends every command before it begins, with all reasons.
    tell("ok", "configuration", f"{app.config['APP_NAME']} can start with it.")
    verdicts: dict[str, str] = {"": "ok"}
    for name, row in ROWS.items():
        if verdicts[row.needs] not in ("ok", "warn"):
            verdicts[name] = "-"
            tell("-", name, f"Unknown without: {row.needs}.")
            continue
        finding = checks.examine(row.probe, app, SECONDS)
        verdicts[name] = finding.verdict
        tell(finding.verdict, name, redact(finding.words))
        if finding.verdict != "ok":
            tell("", "", row.remedy)
    if "FAIL" in verdicts.values():
        sys.exit(1)


def tell(verdict: str, name: str, words: str) -> None:
    """Print a line of the table."""
    click.echo(f"{verdict:<5} {name:<14} {words}".rstrip())
