"""The production server: `python server.py` serves the application with Granian.

All of Granian's settings are here. TERM lets the requests that run finish, and stops; HUP starts
processes with the new code and settings before it stops the old ones.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from granian._granian import ListenerSpec
from granian.constants import HTTPModes, Interfaces
from granian.server.mp import MPServer

import config

logger = logging.getLogger("_granian")


class Server(MPServer):
    """Granian, with sockets that outlive the processes which listen at them.

    Granian's own processes on Linux each open one, so whoever waits in its queue is sent away when
    the process goes, and everybody while none has begun to listen. One socket for all would refuse
    nobody, but the first process would take nearly all connections. So each has its own, and its
    successor takes it over.
    """

    def _init_shared_socket(self) -> None:
        require_free(self.bind_addr, self.bind_port)
        place = ListenerSpec(self.bind_addr, self.bind_port, self.backlog)
        self._sockets = [place.build() for _ in range(self.workers)]
        self._sso = None
        os.register_at_fork(after_in_child=self._begin_process)

    def _spawn_worker(self, idx: int, *args: Any, **kwargs: Any) -> Any:
        self._shd = self._sockets[idx]
        return super()._spawn_worker(idx, *args, **kwargs)

    def _begin_process(self) -> None:
        """Keep the own socket only. What a process starts in its turn has nothing to close."""
        for held in self._sockets:
            if held is not self._shd:
                os.close(held.get_fd())
        self._sockets = []
        # Until Granian listens for signals, those of its parent would be noted by nobody. And what
        # a terminal says to all, the parent says once more: two signals at a time may get lost.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Keep the old processes where new ones could not even load the application."""
        self.reload_signal = False
        attempt = multiprocessing.Process(target=import_module, args=["application"])
        attempt.start()
        attempt.join()
        if attempt.exitcode:
            logger.error("The new code or settings cannot be loaded: the old processes stay.")
            self.main_loop_interrupt.clear()
        else:
            super()._reload(spawn_target, target_loader)
        if self.interrupt_signal or self.interrupt_children:  # meanwhile
            self.main_loop_interrupt.set()

    def _respawn_workers(self, workers: list[int], *args: Any, **options: Any) -> None:
        for idx in workers:
            if not self.interrupt_signal:  # whoever stops this does not wait for new processes
                super()._respawn_workers([idx], *args, **options)

    def _drop_shared_socket(self) -> None:
        """Let nobody queue while the last requests are finished: a proxy asks another server."""
        for held in self._sockets:
            os.close(held.get_fd())


def require_free(host: str, port: int) -> None:
    """Raise SystemExit if something listens there: sockets like ours share a port, unnoticed."""
    try:
        family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
        with socket.socket(family) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            asking.bind((host, port))
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"Nobody can listen at {host}, port {port}: {error}. Stop what listens there, or set "
            "HOST and PORT."
        ) from None


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve() -> None:
    """Serve until a signal says to stop. Raises ConfigurationError before a port is opened."""
    settings = config.load()
    for name in ("config", "settings"):  # so that a reload reads their new code too
        del sys.modules[name]
    multiprocessing.set_start_method("fork")  # which hands the sockets on
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        if settings.METRICS_TOKEN:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        server(settings).serve()


def server(settings: config.Config) -> Server:
    """Return the server that `settings` describe."""
    return Server(
        "application:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        # Also because Granian hangs up on whom it has not heard yet when it stops, as long as it
        # does not know which version of HTTP that will be.
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.WEB_CONCURRENCY or processors(),
        respawn_failed_workers=True,
        # While one thread waits for the database, another uses the processor. Each may take a
        # connection of the pool, which has five and ten more.
        blocking_threads=4,
        # Connections of one process, idle ones too. What is beyond waits in the queue of the
        # system, so no crowd can fill the memory.
        backpressure=256,
        # Seconds: longer than a request should take, shorter than whoever stops this waits.
        workers_kill_timeout=25,
        static_path_mount=[config.BASE_DIR / "app" / "static"],
    )


if __name__ == "__main__":
    serve()
