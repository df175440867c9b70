"""How Alembic reaches the database: through the application's own configuration."""

import sys
from typing import Any, Literal

from alembic import context
from flask import current_app
from sqlalchemy.exc import OperationalError

from app.extensions import db
from app.models import UTCDateTime


def leave_out_empty(_: Any, __: Any, directives: list[Any]) -> None:
    """Write no migration when the models and the database agree."""
    asked_for_one = getattr(context.config.cmd_opts, "autogenerate", False)
    if asked_for_one and directives[0].upgrade_ops.is_empty():
        directives.clear()
        sys.stdout.write("The models and the database agree: no migration is needed.\n")


def render_type(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write our own moment type as the column it is, so that migrations import nothing of ours."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    """Run the migrations that were asked for, in one transaction."""
    try:
        connection = db.engine.connect()
    except OperationalError as error:
        url = db.engine.url.render_as_string(hide_password=True)
        raise SystemExit(
            f"The database at {url} does not answer: {str(error.orig).splitlines()[0]}. "
            "Start it, or correct DATABASE_URL."
        ) from None
    with connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_type,
            process_revision_directives=leave_out_empty,
        )
        with context.begin_transaction():
            context.run_migrations()


with current_app.app_context():
    run()
