"""`make run` as a newcomer meets it, in a copy of the project, with the browser of the machine."""

import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page

from tests import browser_support
from tests.browser_support import assert_accessible
from tests.support import Process, Valkey, answers, free_port, is_free, wait_until

chromium = browser_support.chromium
PASSWORD = "a stockpot full of soup"


def clean_environment() -> dict[str, str]:
    """Return what a newcomer's shell has, and nothing of these tests."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


class Run:
    """A `make run` in a folder of its own."""

    def __init__(self, folder: Path, port: int | None = None, **variables: str) -> None:
        """Start it; `ready` waits until it answers."""
        self.folder = folder
        self.port = port or free_port(3)
        self.process = Process(
            ["make", "run", f"PORT={self.port}"], {**clean_environment(), **variables}, cwd=folder
        )

    @property
    def address(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> "Run":
        """Wait until it says where it answers, and the worker is up."""
        self.process.wait_for(f"answers at {re.escape(self.address)}/", 60)
        self.process.wait_for(r"worker.*ready\.", 60)
        return self

    def leftovers(self) -> list[psutil.Process]:
        """Return the processes it started that still run."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("STOCKPOT_RUN") == str(self.folder)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def interrupt(self) -> int:
        """Press Ctrl-C: the terminal sends SIGINT to the whole foreground group."""
        os.killpg(self.process.process.pid, signal.SIGINT)
        return self.process.process.wait(30)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        self.process.kill()
        for process in self.leftovers():
            process.kill()


@pytest.fixture
def run(copy_of_project: Path) -> Iterator[Run]:
    """Return a `make run` that answers."""
    run = Run(copy_of_project)
    yield run
    run.end()


def mails(run: Run) -> list[dict]:
    with urllib.request.urlopen(f"{run.address}/dev/mailbox.json") as response:
        return json.load(response)


def link_of(run: Run, subject: str) -> str:
    """Return the link in the newest mail with `subject`, once it is in the mailbox."""

    def links() -> list[str]:
        return [mail["links"][0] for mail in mails(run) if mail["subject"] == subject]

    return wait_until(links, f"the mail {subject!r}")[0]


def test_main_job_in_the_browser(run: Run, chromium: Page) -> None:
    page = chromium
    run.ready()
    problems: list[str] = []
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(f"{run.address}/")
    assert page.get_by_role("heading", name="Hello world from the main blueprint!").is_visible()
    assert_accessible(page)

    page.goto(f"{run.address}/users/register/ada@example.com")
    assert page.get_by_text("Hello, ada@example.com, from the auth blueprint!").is_visible()
    page.get_by_label("Password").fill(PASSWORD)
    assert_accessible(page)
    page.get_by_role("button", name="Sign up").click()
    assert page.get_by_role("status").inner_text().startswith("Thank you.")

    confirm = link_of(run, "Welcome to Stockpot")
    page.get_by_role("link", name="Mailbox").click()
    assert_accessible(page)
    page.get_by_role("link", name="Welcome to Stockpot").click()
    assert_accessible(page)
    page.frame_locator("iframe").get_by_role("link", name="Confirm the address").click()
    page.wait_for_url("**/users/login")
    assert confirm.startswith(run.address)
    assert "Thank you, your address is confirmed." in page.get_by_role("status").inner_text()

    assert_accessible(page)
    sign_in(page, PASSWORD)
    page.get_by_text("You are signed in as ada@example.com.").wait_for()
    assert_accessible(page)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").click()

    page.get_by_role("link", name="Forgotten your password?").click()
    assert_accessible(page)
    page.get_by_label("Email Address").fill("ada@example.com")
    page.get_by_role("button", name="Send the link").click()
    page.goto(link_of(run, "Set a new password"))
    assert_accessible(page)
    new = "another pot entirely"
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password again").fill(new)
    page.get_by_role("button", name="Set the password").click()
    sign_in(page, new)
    page.get_by_text("You are signed in as ada@example.com.").wait_for()

    page.goto(f"{run.address}/no/such/page")
    assert_accessible(page)
    assert [text for text in problems if "404" not in text] == []

    assert run.interrupt() in (0, 2, -signal.SIGINT)
    assert run.leftovers() == []


def sign_in(page: Page, password: str) -> None:
    """Fill the form that is shown and send it."""
    page.get_by_label("Email Address").fill("ada@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_an_edit_reloads_web_and_worker(run: Run) -> None:
    run.ready()
    home = run.folder / "app/main/views.py"
    home.write_text(home.read_text("utf-8").replace('"/contact"', '"/write-to-us"'), "utf-8")

    def reloaded() -> bool:
        try:
            with urllib.request.urlopen(f"{run.address}/write-to-us") as response:
                return response.status == 200
        except OSError:
            return False

    wait_until(reloaded, "the new address answers")
    wait_until(lambda: run.process.output.count("ready.") > 1, "the worker starts again")


def test_what_a_killed_run_left_is_ended_by_the_next_one(run: Run) -> None:
    run.ready()
    for process in run.leftovers():
        if "scripts.dev" in process.cmdline():
            process.kill()
    run.process.kill()
    assert run.leftovers()
    second = Run(run.folder, run.port)
    try:
        second.ready()
        assert "that an earlier run left behind" in second.process.output
        second.interrupt()
        assert second.leftovers() == []
    finally:
        second.end()


def test_a_run_ends_when_the_make_that_started_it_is_killed(run: Run) -> None:
    run.ready()
    os.kill(run.process.process.pid, signal.SIGKILL)
    wait_until(lambda: not run.leftovers(), "everything ends")
    assert is_free(run.port)


def test_a_run_ends_when_its_terminal_is_closed(run: Run) -> None:
    run.ready()
    os.killpg(run.process.process.pid, signal.SIGHUP)
    wait_until(lambda: not run.leftovers(), "everything ends")


def test_a_run_is_ready_where_others_are_reached_through_a_proxy(copy_of_project: Path) -> None:
    run = Run(copy_of_project, http_proxy=f"http://127.0.0.1:{free_port()}")
    try:
        run.ready()
        run.interrupt()
    finally:
        run.end()


def test_a_second_run_in_one_folder_is_refused(run: Run) -> None:
    run.ready()
    second = Process(["make", "run"], clean_environment(), cwd=run.folder)
    assert second.process.wait(30) != 0
    second.kill()
    assert "Stockpot is running from this folder already." in second.output
    assert answers(run.port)


@pytest.mark.parametrize(("offset", "name"), [(0, "web"), (1, "valkey"), (2, "mailbox")])
def test_a_taken_port_is_named(copy_of_project: Path, offset: int, name: str) -> None:
    port = free_port(3)
    command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port + offset)]
    other = Process(command, clean_environment())
    wait_until(lambda: answers(port + offset), "the port is taken")
    run = Run(copy_of_project, port)
    try:
        assert run.process.process.wait(30) != 0
        run.process.kill()
        assert f"Port {port + offset}, which {name} needs, is taken" in run.process.output
        assert "Traceback" not in run.process.output
    finally:
        run.end()
        other.stop()


def test_a_database_that_does_not_answer_is_named(copy_of_project: Path) -> None:
    (copy_of_project / ".env").write_text(
        f"DATABASE_URL=postgresql://ada:secret@127.0.0.1:{free_port()}/soup\n", "utf-8"
    )
    run = Run(copy_of_project)
    try:
        assert run.process.process.wait(30) != 0
        run.process.kill()
        assert "does not answer" in run.process.output
        assert "secret" not in run.process.output
        assert "Traceback" not in run.process.output
    finally:
        run.end()


ENQUEUE = """
from application import application as app
from app.tasks import send_email
letter = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
with app.app_context():
    send_email.delay("grace@example.com", "main/mail/contact", letter)
"""


def test_a_job_that_was_queued_is_done_after_the_next_start(run: Run) -> None:
    """Only Valkey runs when the job is queued, as if everything else had stopped before it."""
    run.ready()
    run.interrupt()
    valkey = Valkey(run.folder / "instance" / "valkey", run.port + 1)
    environment = {**clean_environment(), "PORT": str(run.port)}
    sender = Process([sys.executable, "-c", ENQUEUE], environment, cwd=run.folder)
    assert sender.process.wait(30) == 0, sender.output
    sender.kill()
    valkey.stop()
    second = Run(run.folder, run.port)
    try:
        second.ready()
        wait_until(lambda: mails(second), "the mail arrives")
    finally:
        second.end()
