"""The pages of an account in the browser of the machine, with a passkey in a device it plays."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page
from pyotp.totp import TOTP
from werkzeug.serving import make_server

from tests import test_make
from tests.support import free_port
from tests.test_auth import PASSWORD, add_user
from tests.test_auth_address import link

chromium = test_make.chromium
EMAIL = "ada@example.com"


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Return where `app` answers; passkeys want a name there, no number."""
    port = free_port()
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{port}"
    server.shutdown()
    thread.join()
    server.server_close()


def check(page: Page) -> None:
    """Fail if the page has violations, or is wider than a telephone."""
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        test_make.assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


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


def sign_in(page: Page, address: str) -> None:
    page.goto(f"{address}/users/login")
    page.get_by_label("Email Address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()


def watched(page: Page) -> list[str]:
    """Return what will go wrong in the page."""
    problems: list[str] = []
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems


def test_passkeys_in_the_browser(app: Flask, address: str, chromium: Page) -> None:
    page = chromium
    problems = watched(page)
    recognise = play_device(page)
    add_user(app, EMAIL)
    sign_in(page, address)
    page.get_by_role("link", name="Account").click()
    check(page)
    page.get_by_role("link", name="Passkeys").click()
    check(page)
    page.get_by_label("Name of the passkey").fill("my laptop")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("The passkey my laptop is added.").wait_for()
    check(page)

    sign_out(page)
    page.goto(f"{address}/users/passkeys/sign-in")
    check(page)
    recognise(False)
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_text("The browser did not get an answer").wait_for()
    check(page)
    recognise(True)
    page.get_by_role("button", name="Try again").click()
    page.get_by_text(f"You are signed in as {EMAIL}.").wait_for()

    app.config["SECURITY_FRESHNESS"] = timedelta(microseconds=1)
    page.goto(f"{address}/users/change")
    check(page)
    page.get_by_role("link", name="Use a passkey").click()
    check(page)
    app.config["SECURITY_FRESHNESS"] = timedelta(minutes=10)
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("heading", name="Change the password").wait_for()

    page.goto(f"{address}/users/passkeys")
    page.get_by_role("button", name="Remove my laptop").click()
    page.get_by_text("The passkey my laptop is removed.").wait_for()
    assert problems == []


def test_password_address_and_two_factors_in_the_browser(
    app: Flask, address: str, chromium: Page
) -> None:
    page = chromium
    problems = watched(page)
    add_user(app, EMAIL)
    sign_in(page, address)
    page.goto(f"{address}/users/change")
    check(page)
    page.get_by_role("button", name="Set the password").click()
    check(page)

    page.goto(f"{address}/users/change-email")
    check(page)
    page.get_by_label("New address").fill("ada@new.example")
    page.get_by_role("button", name="Send the link").click()
    page.goto(address + link(app, "change_email", "link"))
    page.goto(address + link(app, "address_left", "undo_link"))
    check(page)
    page.goto(f"{address}/users/change-email/undo/x")
    check(page)

    page.goto(f"{address}/users/two-factor")
    check(page)
    assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 100
    phone = TOTP(re.sub(r"[^A-Z2-7]", "", page.locator("code.secret").inner_text()))
    page.get_by_label("Code of the app").fill(phone.now())
    page.get_by_role("button", name="Turn two factors on").click()
    check(page)
    code = page.locator("li code").first.inner_text()
    page.get_by_role("button", name="I have kept them").click()
    page.get_by_role("link", name="Two factors").click()
    check(page)

    sign_out(page)
    page.goto(f"{address}/users/login")
    page.get_by_label("Email Address").fill("ada@new.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    check(page)
    page.get_by_role("link", name="Lost your app?").click()
    check(page)
    page.get_by_label("Recovery code").fill(code)
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("You are signed in as ada@new.example.").wait_for()
    assert [text for text in problems if "422" not in text and "410" not in text] == []


def test_all_but_passkeys_works_without_scripts(app: Flask, address: str, chromium: Page) -> None:
    browser = chromium.context.browser
    assert browser
    page = browser.new_context(java_script_enabled=False).new_page()
    add_user(app, EMAIL)
    sign_in(page, address)
    page.goto(f"{address}/users/change")
    page.get_by_label("Your password now").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("another pot entirely")
    page.get_by_label("New password again").fill("another pot entirely")
    page.get_by_role("button", name="Set the password").click()
    assert page.get_by_text("Your new password is set").is_visible()

    page.get_by_role("link", name="Two factors").click()
    phone = TOTP(re.sub(r"[^A-Z2-7]", "", page.locator("code.secret").inner_text()))
    page.get_by_label("Code of the app").fill(phone.now())
    page.get_by_role("button", name="Turn two factors on").click()
    assert page.locator("li code").count() == 10
    page.goto(f"{address}/users/two-factor")
    page.get_by_role("button", name="Turn two factors off").click()
    assert page.get_by_text("From now on the password alone signs you in.").is_visible()

    page.goto(f"{address}/users/passkeys")
    page.get_by_label("Name of the passkey").fill("my laptop")
    page.get_by_role("button", name="Add a passkey").click()
    assert page.locator("noscript p").is_visible(), "the page says what it needs"
