"""What the figures shall be."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import growth, jobs, outage, pages
from benchmarks.figures import Figures


@dataclass(frozen=True)
class Target:
    """A promise: how it is worked out from the figures of a part, and its bound."""

    words: str
    part: str
    value: Callable[[Figures], float]
    at_least: bool
    bound: float
    unit: str = "×"  # noqa: RUF001 - a sign of multiplication

    def is_met(self, value: float) -> bool:
        """Tell whether `value` keeps the promise."""
        return (operator.ge if self.at_least else operator.le)(value, self.bound)

    @property
    def wanted(self) -> str:
        """The bound, for people."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}"


def ratio(name: str, base: str) -> Callable[[Figures], float]:
    """Return the function for how many times `base` the figure `name` is."""
    return lambda figures: figures.ratio(name, base)


def above(name: str, base: str) -> Callable[[Figures], float]:
    """Return the function for how much the figure `name` is above `base`."""
    return lambda figures: figures[name].median - figures[base].median


def growing(what: str) -> Callable[[Figures], float]:
    """Return the function that compares the most rows with the fewest."""

    def compare(figures: Figures) -> float:
        names = [name for name in figures if name.startswith(f"{what}: {growth.CORES} ")]
        return figures.ratio(names[-1], names[0])

    return compare


TARGETS = (
    Target(
        "Home page / bare Flask with the same template",
        "pages",
        ratio(pages.HOME, pages.BARE),
        at_least=True,
        bound=0.8,
    ),
    Target(
        "Home page / the usual design",
        "pages",
        ratio(pages.HOME, pages.USUAL),
        at_least=True,
        bound=2.5,
    ),
    Target(
        "Enqueueing a durable job, above the commit",
        "enqueueing",
        above(jobs.WITH_JOB, jobs.COMMIT),
        at_least=False,
        bound=1.5,
        unit="ms",
    ),
    Target(
        "Durable mails / plain Celery, connection kept open",
        "work",
        ratio(jobs.MAIL, jobs.KEPT),
        at_least=True,
        bound=0.6,
    ),
    Target(
        "Durable mails / the usual design",
        "work",
        ratio(jobs.MAIL, jobs.USUAL),
        at_least=True,
        bound=1.0,
    ),
    *(
        Target(
            f"Sign-up with the broker {state}, p99 above that with it up",
            "outage",
            above(outage.name_of(state, "p99"), outage.name_of("up", "p99")),
            at_least=False,
            bound=300,
            unit="ms",
        )
        for state in ("stopped", "frozen")
    ),
    Target(
        "Sign-ups answered by an error, in whatever state the broker is",
        "outage",
        lambda figures: max(
            max(figure.rounds) for name, figure in figures.items() if name.endswith(outage.REFUSED)
        ),
        at_least=False,
        bound=0,
        unit="%",
    ),
    *(
        Target(
            f"{what[0].upper()}{what[1:]}, most rows / fewest",
            "growth",
            growing(what),
            at_least=not slower,
            bound=1.2 if slower else 0.85,
        )
        for what, slower in (
            (growth.HOME, False),
            (growth.SIGN_IN, False),
            (growth.ENQUEUE, True),
            (growth.JOBS, False),
        )
    ),
)
