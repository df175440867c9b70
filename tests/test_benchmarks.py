"""The measurements compare like with like, report what they found, and leave nothing behind."""

import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flask import Flask

from benchmarks import bare, commands, jobs, report, visitors
from benchmarks.figures import Figures, percentile
from tests.support import Process, wait_until


def test_bare_flask_renders_our_home_page(app: Flask) -> None:
    pages = [
        re.sub(r"\?v=\w+", "", made.test_client().get("/").text) for made in (app, bare.application)
    ]
    assert pages[0] == pages[1]


def test_the_line_of_the_procfile_runs_another_application() -> None:
    assert "-A benchmarks.plain.celery " in commands.worker("benchmarks.plain.celery")
    assert commands.OURS not in commands.worker("benchmarks.plain.celery")


def some_figures() -> dict[str, Figures]:
    """Return the figures of one part after three rounds."""
    figures = Figures()
    for kept, mail, usual in ((100, 70, 90), (1000, 60, 100), (90, 80, 100)):
        figures.note(jobs.KEPT, kept, "mails/s", jobs.KEPT)
        figures.note(jobs.MAIL, mail, "mails/s", jobs.KEPT)
        figures.note(jobs.USUAL, usual, "mails/s", jobs.KEPT)
    return {"work": figures}


def test_the_table_says_which_targets_are_met() -> None:
    text = report.markdown(some_figures(), report.machine())
    assert f"| {jobs.MAIL} | 70.00 mails/s | 0.70 |" in text
    assert "| Durable mails / plain Celery, connection kept open | ≥ 0.6 × | 0.70 × | met |" in text  # noqa: RUF001
    assert "| Durable mails / the usual design | ≥ 1 × | 0.70 × | **missed** |" in text  # noqa: RUF001
    assert "## Background work" in text
    assert "## Pages" not in text


def test_the_page_keeps_what_is_above_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, data = tmp_path / "benchmarks.md", tmp_path / "benchmarks.json"
    page.write_text(f"By hand.\n\n{report.MARK}\nOf last year.\n", "utf-8")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "DATA", data)
    for _ in range(2):
        report.keep(some_figures(), report.machine())
    assert page.read_text("utf-8").startswith(f"By hand.\n\n{report.MARK}\nMeasured on ")
    assert "last year" not in page.read_text("utf-8")
    kept = json.loads(data.read_text("utf-8"))
    assert kept["figures"]["work"][jobs.MAIL]["rounds"] == [70, 60, 80]
    assert [target["met"] for target in kept["targets"]] == [True, False]


@pytest.mark.parametrize(("percent", "value"), [(50, 51), (99, 100), (100, 100)])
def test_percentile(percent: int, value: int) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_without_wrk_it_says_how_to_install_it(tmp_path: Path) -> None:
    process = Process(
        [sys.executable, "-m", "benchmarks", "pages"], {**os.environ, "PATH": str(tmp_path)}
    )
    assert process.process.wait(60) == 1
    assert process.wait_for(re.escape(visitors.NO_WRK))
    process.kill()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder with a short path: PostgreSQL puts a socket into it."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        yield Path(name)


def test_ctrl_c_leaves_no_process_and_no_folder(short_folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(short_folder)}
    bench = Process([sys.executable, "-m", "benchmarks", "--quick", "work"], environment)

    def worker_runs() -> bool:
        assert bench.process.poll() is None, bench.output
        return len(started_in(short_folder, "celery")) >= 3

    try:
        wait_until(worker_runs, "a worker with its children")
        assert bench.stop(signal.SIGINT) != 0
        wait_until(lambda: not started_in(short_folder), "the end of all processes")
        assert not list(short_folder.glob("stockpot-*"))
    finally:
        bench.kill()
        for process in started_in(short_folder):
            process.kill()


def started_in(folder: Path, name: str = "") -> list[psutil.Process]:
    """Return the processes called `name` which `folder` has to do with."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if name in " ".join(process.cmdline()) and any(str(folder) in word for word in words):
                found.append(process)
        except psutil.Error:
            continue
    return found
