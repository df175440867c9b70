"""The production server: what runs is finished, whether the server stops or loads new code."""

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT, Process, answers, free_port, wait_until

OURS = [sys.executable, "server.py"]
BODY = b"email=ada%40example.com&password=a+stockpot+full+of+soup"
HEAD = (
    f"POST /contact HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
).encode()


@pytest.fixture
def port() -> int:
    """Return where the server will listen."""
    return free_port()


@contextmanager
def started(
    command: list[str], port: int, database: Path, project: Path = ROOT, ready: str = ""
) -> Iterator[Process]:
    """Run a server of the application until it answers, or has printed `ready`; leave nothing."""
    environment = {
        **os.environ,
        "CONFIG_TYPE": "config.TestingConfig",
        "DATABASE_URL": f"sqlite:///{database}",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }
    server = Process(command, environment, project)
    try:
        if ready:
            server.wait_for(ready)
        else:
            wait_until(lambda: answers(port), "the server answers")
        yield server
    finally:
        children = children_of(server)
        server.kill()
        for child in children:
            if child.is_running():
                child.kill()


@pytest.fixture
def server(port: int, tmp_path: Path) -> Iterator[Process]:
    """Return the server of the Procfile, with two processes."""
    with started(OURS, port, tmp_path / "app.db") as server:
        yield server


def children_of(server: Process) -> list[psutil.Process]:
    if not psutil.pid_exists(server.process.pid):
        return []
    return psutil.Process(server.process.pid).children()


class SlowRequest:
    """A request that has begun: the application waits for the second half of a form."""

    def __init__(self, port: int) -> None:
        """Send the first half."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.sendall(HEAD + BODY[:10])

    def finish(self) -> int:
        """Send the rest, and return the status of the answer."""
        with self._socket:
            self._socket.sendall(BODY[10:])
            answer = http.client.HTTPResponse(self._socket)
            answer.begin()
            return answer.status


def status_of_home(port: int, again: bool = False) -> int:
    """Ask for the home page over a connection of its own; return the status of the answer.

    A server that stops may hang up before it has heard anything. Browsers and proxies then ask
    `again`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (ConnectionResetError, BrokenPipeError):
        if not again:
            raise
    finally:
        connection.close()
    return status_of_home(port)


def test_a_request_that_runs_is_finished_before_the_server_stops(
    server: Process, port: int
) -> None:
    begun = [SlowRequest(port) for _ in range(3)]  # one process may get all, and has four threads
    assert status_of_home(port) == 200  # by now they have been read
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not answers(port), "the server takes no new requests")
    time.sleep(10)  # as long as a request may well take
    assert [request.finish() for request in begun] == [400] * 3, "no CSRF token: it was answered"
    assert server.process.wait(30) == 0


def test_a_reload_under_load_refuses_no_connection(server: Process, port: int) -> None:
    old = {child.pid for child in children_of(server)}
    begun = SlowRequest(port)
    statuses: list[int] = []
    errors: list[Exception] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                statuses.append(status_of_home(port, again=True))
            except OSError as error:
                errors.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Stopping old worker-1")
        assert begun.finish() == 400
        wait_until(
            lambda: old.isdisjoint(child.pid for child in children_of(server)), "all are new"
        )
        enough = len(statuses) + 20
        wait_until(lambda: len(statuses) > enough, "the new processes answer")
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert errors == []
    assert set(statuses) == {200}


def test_code_that_cannot_be_loaded_replaces_nothing(
    copy_of_project: Path, port: int, tmp_path: Path
) -> None:
    entry = copy_of_project / "application.py"
    whole = entry.read_text("utf-8")
    with started(OURS, port, tmp_path / "app.db", copy_of_project, "Started worker-2") as server:
        server.wait_for("Started worker-1")
        old = children_of(server)
        entry.write_text("import nothing_of_this_name\n", "utf-8")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("The new code or settings cannot be loaded")
        assert children_of(server) == old
        assert status_of_home(port) == 200
        entry.write_text(whole, "utf-8")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Respawning worker-1")
        # Told to stop now, before the old one is stopped, it makes no other process.
        assert server.stop() == 0
        assert "Respawning worker-2" not in server.output
        assert "Killing" not in server.output


def test_who_stops_the_server_while_it_starts_does_not_wait(port: int, tmp_path: Path) -> None:
    with started(OURS, port, tmp_path / "app.db", ready="Spawning worker-2") as server:
        assert server.stop() == 0
        assert "Killing" not in server.output


def test_a_terminal_that_tells_all_processes_to_stop_is_obeyed(port: int, tmp_path: Path) -> None:
    with started(OURS, port, tmp_path / "app.db", ready="Started worker-2") as server:
        server.wait_for("Started worker-1")
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
        server.kill()
        assert "Killing" not in server.output
        assert "Unexpected exit" not in server.output


def test_a_port_that_is_taken_is_named(server: Process, port: int, tmp_path: Path) -> None:
    with started(OURS, port, tmp_path / "app.db") as second:
        assert second.process.wait(30) == 1
        second.wait_for(rf"Nobody can listen at 127.0.0.1, port {port}: .* already in use")
        assert "Traceback" not in second.output
    assert server.process.poll() is None


def test_a_host_that_is_no_address_is_named(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "localhost")
    ready = "Nobody can listen at localhost, .* set HOST and PORT"
    with started(OURS, port, tmp_path / "app.db", ready=ready) as server:
        assert server.process.wait(30) == 1
        assert "Traceback" not in server.output


def accepted(server: Process) -> list[int]:
    """Return how many connections each process of a server has taken."""
    return [
        sum(one.status == psutil.CONN_ESTABLISHED for one in child.net_connections("tcp"))
        for child in children_of(server)
    ]


def queued(port: int) -> int:
    """Return how many connections nobody has taken yet. Source: proc(5)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    listeners = [one for one in lines if one[3] == "0A" and one[1].endswith(f":{port:04X}")]
    return sum(int(one[4].partition(":")[2], 16) for one in listeners)


def test_what_is_more_than_a_process_can_bear_waits(server: Process, port: int) -> None:
    """The system shares connections out between two processes, as it likes."""
    with ExitStack() as stack:
        for crowd in (700, 50):  # after the second nobody is still being let in
            for _ in range(crowd):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            wait_until(lambda: max(accepted(server)) == 256, "one process takes no more")
        wait_until(lambda: sum(accepted(server)) + queued(port) == 750, "the others wait")
        assert max(accepted(server)) == 256
    assert status_of_home(port) == 200, "the crowd has gone"


def test_a_process_that_died_is_replaced(server: Process, port: int) -> None:
    old = children_of(server)
    for child in old:
        child.send_signal(signal.SIGKILL)
    wait_until(
        lambda: len([child for child in children_of(server) if child not in old]) == 2,
        "two new processes are there",
    )
    assert status_of_home(port) == 200


def test_gunicorn_serves_the_application_too(port: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gunicorn", "--threads=4", f"--bind=127.0.0.1:{port}"]
    with started([*command, "application:application"], port, tmp_path / "app.db") as server:
        assert status_of_home(port) == 200
        assert server.stop() == 0
