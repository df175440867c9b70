"""The parts that the faults share, and the table at the end."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from tests.conftest import create_database, migrated
from tests.faults import harness
from tests.faults.harness import CHANCE, SEED, STANDS, Row, Stand
from tests.faults.parts import Broker, Sink


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


@pytest.fixture(scope="session")
def rabbitmq_broker(
    rabbitmq_is_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """Return a RabbitMQ that can be broken."""
    broker = Broker(tmp_path_factory.mktemp("rabbitmq"), "rabbitmq")
    yield broker
    broker.stop()


@pytest.fixture(scope="session", params=STANDS)
def shared_stand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sink: Sink
) -> Iterator[Stand]:
    """Return the parts, which the faults share: each database with Valkey, then RabbitMQ."""
    kind = request.param
    server = None
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('faults') / 'app.db'}"
    else:
        server = request.getfixturevalue("postgresql_server")
        url = create_database(server.get_uri(), f"faults_{kind}")
    broker = "rabbitmq_broker" if kind == "rabbitmq" else "valkey_broker"
    stand = Stand(kind, migrated(url), request.getfixturevalue(broker), sink, server)
    yield stand
    stand.close()


@pytest.fixture(params=range(harness.ROUNDS))
def stand(shared_stand: Stand, request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Return the parts without a worker, emptied afterwards."""
    CHANCE.seed(f"{SEED} {request.node.nodeid}")  # the same moments in whichever order tests run
    before = len(shared_stand.rows)
    yield shared_stand
    # Reports travel with what a test tells of itself, whichever process it ran in.
    rows = [("fault", asdict(row)) for row in shared_stand.rows[before:]]
    request.node.user_properties.extend(rows)
    shared_stand.reset()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what every fault lost and doubled, the rounds of one fault together."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    rows = [
        Row(**value)
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, value in report.user_properties
        if name == "fault"
    ]
    if not rows:
        return
    terminalreporter.section(f"faults, seed {SEED}")
    titles = ("parts", "fault", "expected", "received", "lost", "doubled", "phantom", "refused")
    terminalreporter.line(f"| {' | '.join(titles)} | other |")
    terminalreporter.line("|---|---|---|---|---|---|---|---|---|")
    for key in sorted({(row.parts, row.fault) for row in rows}):
        same = [row for row in rows if (row.parts, row.fault) == key]
        sums = [str(sum(getattr(row, name) for row in same)) for name in titles[2:]]
        slowest = f"slowest {max(row.slowest for row in same) * 1000:.0f} ms"
        other = ", ".join(filter(None, [same[-1].other, slowest]))
        terminalreporter.line(f"| {' | '.join([*key, *sums])} | {other} |")
