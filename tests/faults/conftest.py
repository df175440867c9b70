"""The parts that the faults share, and the table at the end."""

from collections.abc import Iterator

import pytest
from flask_migrate import Migrate, upgrade
from sqlalchemy import create_engine, text

from app import create_app
from app.extensions import db
from tests.faults import harness
from tests.faults.harness import ROWS, SEED, Stand
from tests.faults.parts import Broker, Sink


def migrated(url: str) -> str:
    app = create_app("config.TestingConfig", DATABASE_URL=url)
    Migrate(app, db)
    with app.app_context():
        upgrade()
        db.engine.dispose()
    return url


def new_database(server: str, name: str) -> str:
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """Return a mail server that can be broken."""
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture(scope="session")
def valkey_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a Valkey that can be broken."""
    broker = Broker(tmp_path_factory.mktemp("valkey"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_stand(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    valkey_broker: Broker,
    sink: Sink,
) -> Iterator[Stand]:
    """Return the parts, which the faults share."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('faults') / 'app.db'}"
    else:
        url = new_database(request.getfixturevalue("postgresql"), "faults")
    stand = Stand(request.param, migrated(url), valkey_broker, sink)
    yield stand
    stand.close()


@pytest.fixture(params=range(harness.ROUNDS))
def stand(shared_stand: Stand) -> Iterator[Stand]:
    """Return the parts without a worker, emptied afterwards."""
    yield shared_stand
    shared_stand.reset()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what every fault lost and doubled, the rounds of one fault together."""
    if not ROWS:
        return
    terminalreporter.section(f"faults, seed {SEED}")
    titles = ("parts", "fault", "expected", "received", "lost", "doubled", "phantom", "refused")
    terminalreporter.line(f"| {' | '.join(titles)} | other |")
    terminalreporter.line("|---|---|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((row.parts, row.fault) for row in ROWS):
        rows = [row for row in ROWS if (row.parts, row.fault) == key]
        names = ("expected", "received", "lost", "doubled", "phantom", "refused")
        sums = [str(sum(getattr(row, name) for row in rows)) for name in names]
        terminalreporter.line("| " + " | ".join([*key, *sums, rows[-1].other]) + " |")
