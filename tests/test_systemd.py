"""The systemd units: the commands of the Procfile, and stops that leave time to finish."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import config
from tests.support import ROOT
from tests.test_production import line_of_procfile

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(FOLDER.iterdir())
PLACE = "/srv/stockpot"


def unit(name: str) -> ConfigParser:
    """Return a unit."""
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((FOLDER / name).read_text("utf-8"))
    return parser


@pytest.mark.parametrize(
    ("service", "line"),
    [("web", "web"), ("worker", "worker"), ("beat", "beat"), ("migrate", "release")],
)
def test_units_run_the_lines_of_the_procfile(service: str, line: str) -> None:
    section = unit(f"stockpot-{service}.service")["Service"]
    variables = section.get("Environment", "")
    command = section["ExecStart"].removeprefix(f"{PLACE}/.venv/bin/")
    asked = line_of_procfile(line).removeprefix("exec ").removeprefix("env ")
    assert f"{variables} {command}".strip() == asked


def test_what_runs_has_time_to_finish() -> None:
    for name, longest in (("web", 25), ("worker", config.Config.JOBS_STOP)):
        section = unit(f"stockpot-{name}.service")["Service"]
        assert float(section["TimeoutStopSec"]) > longest
        assert section["KillMode"] == "mixed"
    assert "workers_kill_timeout=25" in (ROOT / "server.py").read_text("utf-8")


def test_systemd_understands_them(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("SKIPPED: systemd-analyze is missing, so nobody has read the units.")
    for path in UNITS:
        text = path.read_text("utf-8").replace(
            f"{PLACE}/.venv/bin", str(Path(sys.executable).parent)
        )
        (tmp_path / path.name).write_text(text, "utf-8")
    result = subprocess.run(
        ["systemd-analyze", "verify", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
