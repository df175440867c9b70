"""What the tests in the browser share: the application on a port, and what every page must keep."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from flask import Flask
from playwright.sync_api import Error, Page, expect
from pyotp.totp import TOTP
from werkzeug.serving import make_server

from tests.support import PATIENCE, free_port, wait_until

expect.set_options(timeout=PATIENCE * 1000)
TELEPHONE, DESK = 375, 1280  # widths in pixels
LOOK = """async () => (await axe.run({resultTypes: ["violations"]})).violations.map(
    found => found.id + ": " + found.nodes.map(node => node.html).join(" "))"""


@pytest.fixture
def chromium(request: pytest.FixtureRequest) -> Page:
    """Return a page in Chromium; without one, fail in CI and skip loudly elsewhere."""
    try:
        return request.getfixturevalue("page")
    except Error as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NO CHROMIUM COULD BE STARTED, the browser test did not run: {error}")


@pytest.fixture
def new_page(chromium: Page) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page in a browser of its own, with cookies of its own."""
    browser = chromium.context.browser
    assert browser
    contexts = []

    def open_page(**options: bool) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve `app`, and give its address; passkeys want a name there, no number."""
    server = make_server("127.0.0.1", free_port(), app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Return where `app` answers."""
    with served(app) as address:
        yield address


def assert_accessible(page: Page) -> None:
    """Fail for what axe-core finds, in light and dark, and for a page wider than its window."""
    page.evaluate(AXE_SCRIPT)
    for width in (TELEPHONE, DESK):
        page.set_viewport_size({"width": width, "height": 800})
        wait_until(partial(fits, page, width), f"{page.url} fits into {width} px", seconds=5)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert page.evaluate(LOOK) == [], f"{page.url} {scheme}, {width} px"


def fits(page: Page, width: int) -> bool:
    """Tell whether the page, once it is laid out anew, has nothing to scroll to at its side."""
    return page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def watched(page: Page) -> list[str]:
    """Return what will go wrong in the page; that a form or a link was refused is nothing wrong."""
    problems: list[str] = []

    def note(text: str) -> None:
        if not any(f"status of {code}" in text for code in (404, 410, 422)):
            problems.append(text)

    page.on("console", lambda message: note(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: note(str(error)))
    return problems


def play_device(page: Page) -> Callable[[bool], None]:
    """Put a device into the browser; return what lets it recognise its owner or not."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    name = device["authenticatorId"]

    def recognise(owner: bool) -> None:
        session.send("WebAuthn.setUserVerified", {"authenticatorId": name, "isUserVerified": owner})

    return recognise


def said(page: Page, words: str) -> None:
    """Wait until a message with these words is shown."""
    expect(page.locator(".notice", has_text=words)).to_be_visible()


def secret_of(page: Page) -> TOTP:
    """Return the app of somebody who typed the secret that the page shows."""
    return TOTP(re.sub(r"[^A-Z2-7]", "", page.locator("code.secret").inner_text()))


def click(page: Page, name: str, role: str = "link") -> None:
    """Follow the link, or press the button, with exactly this name, and wait where it leads."""
    with page.expect_navigation():
        page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]


def press(page: Page, name: str, **fields: str) -> None:
    """Fill the fields whose labels are named, with _ for a space, and press a button."""
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)
    click(page, name, "button")
