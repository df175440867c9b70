"""Tell whether a container does its work: `python scripts/healthcheck.py [web|worker|beat]`.

Without a word it looks at what the container was started with. Exits with 0 if all is well.
"""

import os
import sys
import time
import urllib.request
from pathlib import Path

SILENCE = 120.0  # seconds; beat ticks every 30, and a worker takes a sweep every few
# What beat writes at each tick, and app/jobs/sweep.py while tasks are taken.
SIGNS = {"beat": "celerybeat-schedule*", "worker": "worker-works"}


def role(command: str) -> str:
    """Return what a process is, by its line in /proc; an init's has what it was told to run."""
    words = command.split("\0")
    return next((word for word in ("worker", "beat") if word in words), "web")


def web() -> None:
    """Ask it, and no proxy that `http_proxy` names. Raises OSError unless it answers 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    port = os.environ.get("PORT") or "5000"
    direct.open(f"http://127.0.0.1:{port}/healthz", timeout=5)


def lives(name: str) -> None:
    """Look at the file that it touches: it answers no ping. Exits with 1 unless it just did."""
    times = [file.stat().st_mtime for file in Path("instance").glob(SIGNS[name])]
    if time.time() - max(times, default=0.0) > SILENCE:
        sys.exit(f"The {name} has not touched instance/{SIGNS[name]} for {SILENCE:.0f} s.")


if __name__ == "__main__":
    given = sys.argv[1] if sys.argv[1:] else role(Path("/proc/1/cmdline").read_text())
    web() if given == "web" else lives(given)
