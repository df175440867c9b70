"""Production: what is unsafe does not start, and says why before a port opens."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import config
from app import create_app
from settings import ConfigurationError
from tests.support import ROOT
from tests.test_config import COMPLETE, MARKER, PRODUCTION, named_in


def line_of_procfile(name: str) -> str:
    """Return the command of a process."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: "))


WEB = line_of_procfile("web")
OURS = "FLASK_SKIP_DOTENV=1 FLASK_APP=application"  # as docs/configuration.md has it


@pytest.fixture
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no variable and no `.env`."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "BASE_DIR", tmp_path)


def run(command: str, project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in `project` with these variables and no others."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=project,
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("empty_environment")
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SECRET_KEY", "", "missing or a placeholder"),
        ("SECRET_KEY", "short", "too short"),
        ("SECRET_KEY", "ab" * 20, "too regular"),
        ("SECRET_KEY", f"change-me-{MARKER}-and-more-characters", "placeholder"),
        ("SECURITY_PASSWORD_SALT", "", "missing or a placeholder"),
        ("SECURITY_PASSWORD_SALT", MARKER, "too short"),
        ("SECURITY_PASSWORD_SALT", "only-for-tests-" + MARKER * 2, "placeholder"),
        ("DATABASE_URL", "", "missing"),
        ("DATABASE_URL", f"sqlite:///{MARKER}", "SQLite"),
        ("CELERY_BROKER_URL", "", "missing"),
        ("CELERY_BROKER_URL", "memory://", "one process"),
        ("REDIS_URL", "", "missing"),
        ("MAIL_SERVER", "", "missing"),
        ("MAIL_DEFAULT_SENDER", "", "nobody can answer"),
        ("MAIL_DEFAULT_SENDER", "Stockpot <noreply@localhost>", "nobody can answer"),
        ("ADMINS", "", "missing"),
        ("TRUSTED_HOSTS", "", "missing"),
        ("DEBUG", "1", "debugger"),
        ("FLASK_DEBUG", "1", "debugger"),
    ],
)
def test_unsafe_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    for name, wanted in {**COMPLETE, variable: value}.items():
        monkeypatch.setenv(name, wanted)
    with pytest.raises(ConfigurationError) as caught:
        config.load(PRODUCTION)
    message = str(caught.value)
    assert named_in(message) == {variable.removeprefix("FLASK_")}
    assert reason in message
    assert not any(secret in message for secret in (MARKER, *COMPLETE.values()))


@pytest.mark.usefixtures("empty_environment")
def test_complete_configuration_is_accepted() -> None:
    app = create_app(PRODUCTION, **COMPLETE)
    assert not app.debug
    assert app.config["SESSION_COOKIE_SECURE"]
    assert app.config["TRUSTED_HOSTS"] == ["stockpot.example", "www.stockpot.example"]


@pytest.mark.usefixtures("empty_environment")
def test_server_name_is_the_trusted_host_where_no_list_is_given() -> None:
    values = {**COMPLETE, "TRUSTED_HOSTS": None, "SERVER_NAME": "stockpot.example:8443"}
    assert config.load(PRODUCTION, values).TRUSTED_HOSTS == ["stockpot.example"]


def test_complete_environment_passes_the_check_of_the_web_process(copy_of_project: Path) -> None:
    result = run("python config.py", copy_of_project, CONFIG_TYPE=PRODUCTION, **COMPLETE)
    assert (result.returncode, result.stdout) == (0, "The configuration can be used.\n")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("make --old-file=.venv/installed migrate", id="make"),
        pytest.param(line_of_procfile("release"), id="Procfile"),
        f"{OURS} flask run",
        f"{OURS} flask doctor",
        f"{OURS} flask db upgrade",
    ],
)
def test_env_file_that_is_no_text_is_one_sentence(copy_of_project: Path, command: str) -> None:
    (copy_of_project / ".env").write_bytes(f"SECRET_KEY=\xff{MARKER}".encode("latin-1"))
    result = run(command, copy_of_project)
    assert result.returncode != 0
    sentence, *others = result.stderr.splitlines()
    assert re.fullmatch(
        r"The settings in .*\.env cannot be read: it is not UTF-8 text\. .*", sentence
    )
    assert all(line.startswith("make: ***") for line in others)
    assert MARKER not in result.stdout + result.stderr


def test_flask_leaves_the_env_file_alone_in_tests_where_it_is_told_to(
    copy_of_project: Path,
) -> None:
    (copy_of_project / ".env").write_text("APP_NAME=From .env\n", "utf-8")
    command = f"""echo 'print("It is", app.config["APP_NAME"])' | {OURS} flask shell"""
    result = run(command, copy_of_project, CONFIG_TYPE="config.TestingConfig")
    assert "It is Stockpot" in result.stdout, result.stderr
    result = run(command, copy_of_project)
    assert "It is From .env" in result.stdout, result.stderr


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(WEB, id="Procfile"),
        # The packages are those of this checkout, so `make` must not install others there.
        pytest.param("make --old-file=.venv/installed serve", id="make"),
        "python application.py",
        "flask run --port $PORT",
        "flask doctor",
        "celery -A celery_worker.celery worker",
        "celery -A celery_worker.celery beat --pidfile=",
    ],
)
def test_every_process_names_all_problems_before_it_opens_a_port(
    copy_of_project: Path, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # Whoever listens before the check meets a taken port and says so instead; whoever
        # connects to the broker before it is seen here.
        taken.setblocking(False)
        port = str(taken.getsockname()[1])
        result = run(
            command,
            copy_of_project,
            CONFIG_TYPE=PRODUCTION,
            PORT=port,
            SECRET_KEY=f"change-me-{MARKER}",
            DATABASE_URL=f"sqlite:///{MARKER}",
            CELERY_BROKER_URL=f"redis://:{MARKER}@127.0.0.1:{port}/0",
            LOG_LEVEL=MARKER,
            FLASK_DEBUG="1",
        )
        with pytest.raises(BlockingIOError):
            taken.accept()
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert named_in(result.stderr) == {
        "SECRET_KEY",
        "SECURITY_PASSWORD_SALT",
        "DATABASE_URL",
        "REDIS_URL",
        "MAIL_SERVER",
        "MAIL_DEFAULT_SENDER",
        "ADMINS",
        "TRUSTED_HOSTS",
        "DEBUG",
        "LOG_LEVEL",
    }
    assert MARKER not in output
    assert "Traceback" not in output
    assert "in use" not in output
    assert not (copy_of_project / "instance").exists()
