"""`make bench`: measure everything, or the parts that are named, and print the tables."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import footprint, growth, jobs, outage, pages, report
from benchmarks.figures import Figures
from benchmarks.stand import FULL, QUICK, Stand
from benchmarks.visitors import find_wrk

PARTS: dict[str, Callable[[Stand, Figures], None]] = {
    "pages": pages.run,
    "enqueueing": jobs.run_enqueueing,
    "work": jobs.run_work,
    "outage": outage.run,
    "footprint": footprint.run,
    "growth": growth.run,
}
WITH_WRK = {"pages", "footprint", "growth"}
BUSY = 0.5  # load from which on figures wander


def main() -> None:
    """Measure and report; docs/ is written only when everything was measured in full."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="once, and little of each")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    wanted = [part for part in PARTS if part in options.parts or not options.parts]
    if WITH_WRK.intersection(wanted):
        find_wrk()
    on_signals(lambda *_: sys.exit("Stopped."))
    here = report.machine()
    if float(here["load"]) > BUSY:
        say(f"The load of this machine is {here['load']}: the figures will wander.")
    with ExitStack() as stack:
        stand = Stand(stack, QUICK if options.quick else FULL)
        stack.callback(on_signals, signal.SIG_IGN)  # the cleaning up is not stopped
        parts = measure(stand, wanted)
    print(report.markdown(parts, here))
    if len(wanted) == len(PARTS) and not options.quick:
        report.keep(parts, here)


def on_signals(handler: Any) -> None:
    """Let `handler` answer Ctrl-C and TERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def measure(stand: Stand, wanted: list[str]) -> dict[str, Figures]:
    """Return the figures of each part."""
    found = {}
    for part in wanted:
        began = time.monotonic()
        found[part] = Figures()
        PARTS[part](stand, found[part])
        say(f"{part}: measured in {time.monotonic() - began:.0f} s")
    return found


def say(sentence: str) -> None:
    """Tell whoever waits."""
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    main()
