"""The commands of README's "By hand", as they stand there, against a real Valkey."""

import http.cookiejar
import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, Process, Valkey, answers, free_port, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## By hand")[2].partition("\n## ")[0]
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL))


@pytest.fixture
def port(copy_of_project: Path, tmp_path: Path) -> Iterator[int]:
    """Return where the application answers, with everything started as README says.

    Only the ports are others, so that it can run beside whatever else runs on this machine.
    """
    port = free_port(3)
    valkey = Valkey(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "PORT": str(port), "FLASK_RUN_PORT": str(port)}
    subprocess.run([sys.executable, "scripts/write_env.py"], cwd=copy_of_project, check=True)
    with (copy_of_project / ".env").open("a", encoding="utf-8") as file:
        file.write(BLOCKS["sh"].replace(":6379/", f":{valkey.port}/"))
    first, *others = BLOCKS["console"].replace(":5002", f":{port + 2}").splitlines()
    subprocess.run(first.split(), cwd=copy_of_project, env=environment, check=True)
    processes = [Process(command.split(), environment, copy_of_project) for command in others]
    try:
        wait_until(lambda: answers(port) and answers(port + 2), "the application answers")
        yield port
    finally:
        for process in processes:
            process.kill()
        valkey.stop()


def test_commands_of_the_readme_are_the_ones_of_flask_and_celery() -> None:
    assert {
        "celery -A celery_worker.celery worker --pool=solo --loglevel=info",
        "flask run",
    } < set(BLOCKS["console"].splitlines())


def test_main_job_by_hand(port: int) -> None:
    address = f"http://127.0.0.1:{port}"
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def read(path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        with browser.open(f"{address}{path}", data) as response:
            return response.read().decode()

    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', read("/users/register"))
    assert token
    form = {
        "csrf_token": token[1],
        "email": "ada@example.com",
        "password": "a stockpot full of soup",
    }
    assert "Thank you." in read("/users/register", form)
    mails = wait_until(lambda: json.loads(read("/dev/mailbox.json")), "the mail arrives")
    assert [(mail["to"], mail["subject"]) for mail in mails] == [
        ("ada@example.com", "Welcome to Stockpot")
    ]
    link = mails[0]["links"][0]
    assert "your address is confirmed" in read(link.removeprefix(address))
