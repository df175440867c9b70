"""What was measured: for each figure one value a round, and the median of them."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One row of a table."""

    unit: str
    base: str | None  # the name of the figure that this one is compared with
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


class Figures(dict[str, Figure]):
    """The figures of one part by their names, in the order in which they are shown."""

    def note(self, name: str, value: float, unit: str, base: str | None = None) -> None:
        """Keep the value of one round."""
        self.setdefault(name, Figure(unit, base)).rounds.append(value)

    def ratio(self, name: str, base: str) -> float:
        """Return how many times `base` the figure `name` is."""
        return self[name].median / self[base].median


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
