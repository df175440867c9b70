"""What `make` calls: a fresh `.env`, and an installation that fails with one sentence."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, free_port

SECRETS = ("SECRET_KEY", "SECURITY_PASSWORD_SALT")
TOOLS = ("cut", "grep", "mkdir", "rm", "tail", "touch")
PYTHONS = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the scripts and what they read; its `bin` is the whole PATH."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / ".env.example", tmp_path)
    hashed = f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n"
    (tmp_path / "requirements-dev.txt").write_text(hashed)
    return tmp_path


def write_env(project: Path) -> str:
    """Run scripts/write_env.py and return the file it leaves."""
    script = project / "scripts" / "write_env.py"
    subprocess.run([sys.executable, script], umask=0, check=True, capture_output=True)
    return (project / ".env").read_text(encoding="utf-8")


def install(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/install.sh with nothing in its environment but these and PATH."""
    return subprocess.run(
        ["/bin/sh", "scripts/install.sh"],
        cwd=project,
        env={"PATH": str(project / "bin"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def stub(project: Path, name: str, script: str) -> None:
    """Put a command of this name on the PATH."""
    command = project / "bin" / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def values(env: str) -> dict[str, str]:
    """Return the variables of a `.env` file."""
    lines = [line for line in env.splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_env_file_is_for_its_owner_alone(project: Path) -> None:
    write_env(project)
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600


def test_secrets_are_fresh_and_differ(project: Path) -> None:
    first = values(write_env(project))
    (project / ".env").unlink()
    second = values(write_env(project))
    secrets = {file[name] for file in (first, second) for name in SECRETS}
    assert len(secrets) == 4
    assert all(len(secret) >= 32 and "change-me" not in secret for secret in secrets)


def test_other_lines_are_those_of_the_example(project: Path) -> None:
    written = write_env(project).splitlines()
    example = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    changed = [old for old, new in zip(example, written, strict=True) if old != new]
    assert changed == [f"{name}=change-me" for name in SECRETS]


def test_existing_env_file_is_never_touched(project: Path) -> None:
    (project / ".env").write_text("SECRET_KEY=mine\n")
    assert write_env(project) == "SECRET_KEY=mine\n"


def test_too_old_python_is_one_sentence(project: Path) -> None:
    pretend = "import sys; sys.version_info = (3, 10, 19); exec(sys.argv[1])"
    for name in PYTHONS:
        stub(
            project,
            name,
            f'[ "$1" = -c ] || {{ echo "Python 3.10.19"; exit; }}\n'
            f'exec {sys.executable} -c "{pretend}" "$2"',
        )
    result = install(project)
    assert result.returncode == 1
    assert result.stderr.startswith("Stockpot needs Python 3.11 or newer, and this machine has")
    assert "Python 3.10.19" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (project / ".venv").exists()


def test_no_python_is_one_sentence(project: Path) -> None:
    result = install(project)
    assert result.returncode == 1
    assert result.stderr.startswith("Stockpot needs Python 3.11 or newer, and this machine has")
    assert len(result.stderr.splitlines()) == 1


def test_python_without_venv_is_one_sentence(project: Path) -> None:
    stub(project, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    result = install(project)
    assert result.returncode == 1
    assert "python3-venv" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_unreachable_index_is_one_sentence_with_pip(project: Path) -> None:
    result = install(
        project,
        PYTHON=sys.executable,
        PIP_INDEX_URL=f"http://127.0.0.1:{free_port()}/simple",
        PIP_CONFIG_FILE="/dev/null",
    )
    refused_installation(project, result)


def test_unreachable_index_is_one_sentence_with_uv(project: Path) -> None:
    (project / "bin" / "python3").symlink_to(sys.executable)
    stub(project, "uv", '[ "$1" = venv ] || { echo "error: Failed to fetch" >&2; exit 2; }')
    result = install(project)
    refused_installation(project, result)
    assert "error: Failed to fetch" in result.stderr


def test_make_waits_for_the_packages_before_it_writes_the_env_file(copy_of_project: Path) -> None:
    """On a fresh clone, with what can be made at the same time made at the same time."""
    (copy_of_project / ".venv").unlink()
    slow = f"#!/bin/sh\nsleep 1\nln -s {sys.prefix} .venv\n"
    (copy_of_project / "scripts" / "install.sh").write_text(slow, "utf-8")
    result = subprocess.run(
        ["make", "-j4", "migrate"],
        cwd=copy_of_project,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Wrote .env with fresh secrets." in result.stdout
    assert (copy_of_project / "instance" / "app.db").exists()


def refused_installation(project: Path, result: subprocess.CompletedProcess[str]) -> None:
    """Check that an installation failed plainly, and that `make` will try it again."""
    assert result.returncode == 1
    assert result.stderr.startswith("The packages could not be installed: ")
    assert "Check that this machine reaches a Python package index" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert not (project / ".venv" / "installed").exists()


def test_environment_behind_a_link_is_not_emptied(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (project / "bin" / "python3").symlink_to(sys.executable)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").touch()
    (project / ".venv").symlink_to(elsewhere)
    result = install(project)
    assert result.returncode == 1
    assert ".venv is a link to an environment elsewhere" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (elsewhere / "kept").exists()


def test_installation_takes_the_locked_packages_with_their_hashes(project: Path) -> None:
    (project / "bin" / "python3").symlink_to(sys.executable)
    stub(project, "uv", 'mkdir -p .venv; echo "$@" >>called')
    assert install(project).returncode == 0
    called = (project / "called").read_text()
    assert "--require-hashes" in called
    assert "-r requirements-dev.txt" in called
    assert (project / ".venv" / "installed").exists()
