"""The log file: it has what the console has, and loses no line to several processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import create_app
from tests.log_support import own_handlers  # noqa: F401 - a fixture for every test here
from tests.support import ROOT

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_file_has_what_the_console_has(
    capsys: Capture, tmp_path: Path, log_format: str
) -> None:
    path = tmp_path / "made" / "on demand" / "app.log"
    app = create_app("config.TestingConfig", LOG_FILE=path, LOG_FORMAT=log_format)
    app.logger.info("Grüße")
    assert path.read_text(encoding="utf-8") == capsys.readouterr().out


WRITER = """
import logging, sys
from app import create_app
from app.core import logging as ours
ours.FILE_SIZE = 120_000
create_app("config.TestingConfig", LOG_FILE=sys.argv[1])
sys.stdin.readline()
for number in range(2000):
    logging.getLogger("writer").info("writer %s wrote line %s", sys.argv[2], number)
"""


def test_no_line_is_lost_when_four_processes_write_and_rotate(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for number in range(4)
    ]
    try:
        for writer in writers:
            assert writer.stdin
            writer.stdin.write("start\n")
            writer.stdin.flush()
        for writer in writers:
            writer.communicate(timeout=60)
            assert writer.returncode == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    files = [*tmp_path.glob("app.log*")]
    assert len(files) > 3, "it was rotated several times"
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    lines = re.findall(r"^.* INFO: writer (\d) wrote line (\d+) \[in .*\]$", text, re.MULTILINE)
    assert sorted((int(who), int(which)) for who, which in lines) == [
        (who, which) for who in range(4) for which in range(2000)
    ]
