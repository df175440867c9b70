"""The table on the screen, docs/benchmarks.md, and docs/benchmarks.json beside it."""

import json
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.figures import Figures
from benchmarks.targets import TARGETS
from tests.support import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "docs" / "benchmarks.json"
MARK = "<!-- `make bench` writes what is below this line. -->\n"
TITLES = {
    "pages": "Pages",
    "enqueueing": "Enqueueing",
    "work": "Background work",
    "outage": "Sign-up without a broker",
    "footprint": "Memory and cold start",
    "growth": "Growth",
}
PACKAGES = ("flask", "granian", "gunicorn", "celery", "sqlalchemy", "psycopg")

Parts = dict[str, Figures]


def machine() -> dict[str, str]:
    """Return what kind of machine this is."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def targets_of(parts: Parts) -> list[tuple[str, str, str, bool]]:
    """Return each target of the parts that were measured: words, wanted, figure, whether met."""
    rows = []
    for target in TARGETS:
        if target.part in parts:
            value = target.value(parts[target.part])
            figure = f"{value:.2f} {target.unit}"
            rows.append((target.words, target.wanted, figure, target.is_met(value)))
    return rows


def markdown(parts: Parts, here: dict[str, str]) -> str:
    """Return the tables."""
    lines = [
        f"Measured on {here['date']}: {here['cores']} cores of {here['processor']}, "
        f"{here['memory']} of memory, {here['system']}, Python {here['python']}, "
        f"{here['packages']}. The load was {here['load']} when it began.",
        "The figures of each round are in [benchmarks.json](benchmarks.json).",
        "",
        "| target | wanted | measured | |",
        "|---|---:|---:|---|",
        *(
            f"| {words} | {wanted} | {figure} | {'met' if met else '**missed**'} |"
            for words, wanted, figure, met in targets_of(parts)
        ),
    ]
    for part, figures in parts.items():
        lines += ["", f"## {TITLES[part]}", "", "| | figure | ratio |", "|---|---:|---:|"]
        lines += [row(name, figures) for name in figures]
    return "\n".join(lines) + "\n"


def row(name: str, figures: Figures) -> str:
    """Return the row of a figure: its median, and how many times its base that is."""
    figure = figures[name]
    digits = 0 if figure.median >= 100 else 2
    ratio = f"{figures.ratio(name, figure.base):.2f}" if figure.base else ""
    return f"| {name} | {figure.median:,.{digits}f} {figure.unit} | {ratio} |"


def keep(parts: Parts, here: dict[str, str]) -> None:
    """Write the page below its mark, and the figures of every round."""
    above, mark, _ = PAGE.read_text("utf-8").partition(MARK)
    PAGE.write_text(f"{above}{mark}\n{markdown(parts, here)}", "utf-8")
    data = {
        "machine": here,
        "targets": [
            dict(zip(("target", "wanted", "measured", "met"), values, strict=True))
            for values in targets_of(parts)
        ],
        "figures": {
            part: {
                name: {"unit": figure.unit, "median": figure.median, "rounds": figure.rounds}
                for name, figure in figures.items()
            }
            for part, figures in parts.items()
        },
    }
    DATA.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
