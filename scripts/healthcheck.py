"""Tell whether a container does its work: `python scripts/healthcheck.py [web|worker|beat]`.

Without a word it looks at what the container was started with. Exits with 0 if all is well.
"""

import os
import sys
import time
import urllib.request
from pathlib import Path

SILENCE = 120.0  # seconds; beat ticks, and writes that down, every 30


def role(command: str) -> str:
    """Return what a process is, by its line in /proc; an init's has what it was told to run."""
    words = command.split("\0")
    return next((word for word in ("worker", "beat") if word in words), "web")


def web() -> None:
    """Ask it, and no proxy that `http_proxy` names. Raises OSError unless it answers 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    port = os.environ.get("PORT") or "5000"
    direct.open(f"http://127.0.0.1:{port}/healthz", timeout=5)


def worker() -> None:
    """Ask the database whether jobs get done: a worker can be alive and deaf."""
    os.execvp("flask", ["flask", "jobs", "health"])


def beat() -> None:
    """Look when it last wrote down what it sent: it answers no ping."""
    files = Path("instance").glob("celerybeat-schedule*")
    silence = time.time() - max((file.stat().st_mtime for file in files), default=0.0)
    if silence > SILENCE:
        sys.exit(f"Beat has not ticked for {silence:.0f} s.")


if __name__ == "__main__":
    given = sys.argv[1] if sys.argv[1:] else role(Path("/proc/1/cmdline").read_text())
    {"web": web, "worker": worker, "beat": beat}[given]()
