"""Sign-ups while the broker, which counts the rate limits too, is up, stopped or frozen."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from benchmarks import commands
from benchmarks.figures import Figures, percentile
from benchmarks.stand import Stand
from benchmarks.visitors import post_forms

FORM = "/users/register"
REFUSED = "answered by an error"
STATES = ("up", "stopped", "frozen")
NUMBERS = itertools.count(1)
WARM = 8  # sign-ups before the broker goes


def name_of(state: str, what: str) -> str:
    """Return what a figure is called."""
    return f"sign-up, broker {state}: {what}"


def run(stand: Stand, figures: Figures) -> None:
    """Measure each state in turn, on a server that knew the broker up."""
    for _ in range(stand.scale.rounds):
        for state in STATES:
            with stand.web(commands.WEB) as tree:
                post_forms(tree.root, FORM, newcomers(WARM))
                with broker(stand, state):
                    posted = post_forms(tree.root, FORM, newcomers(stand.scale.sign_ups))
            stand.forget()
            for percent in (50, 99):
                value, what = percentile(posted.times, percent) * 1000, f"p{percent}"
                figures.note(name_of(state, what), value, "ms", name_of("up", what))
            refused = 100 * posted.refused / stand.scale.sign_ups
            figures.note(name_of(state, REFUSED), refused, "%")


def newcomers(count: int) -> list[str]:
    """Return addresses that nobody has signed up with."""
    return [f"newcomer{next(NUMBERS)}@example.com" for _ in range(count)]


@contextmanager
def broker(stand: Stand, state: str) -> Iterator[None]:
    """Put the broker into a state; it is up again afterwards."""
    if state == "stopped":
        stand.broker.down()
    try:
        with stand.broker.frozen() if state == "frozen" else nullcontext():
            yield
    finally:
        if state == "stopped":
            stand.restart_broker()
