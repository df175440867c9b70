"""Every page of accounts: no violations in light and dark, narrow and wide, and a way to go on."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask, request, template_rendered
from playwright.sync_api import Page

from app.auth.security import ROUTES
from tests import browser_support
from tests.auth_support import PASSWORD, add_user
from tests.browser_support import assert_accessible, click, play_device, press, secret_of, watched
from tests.support import ROOT
from tests.test_auth_address import link
from tests.test_auth_exports import packed

pytestmark = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
address, chromium = browser_support.address, browser_support.chromium

EMAIL = "ada.augusta.king.countessoflovelacewhowrotethefirstprogram@analytical-engine.example.com"
LONG = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh-Cholmondeley"
# They answer with a file or lead on: there is nothing to see.
NO_PAGE = {
    *("auth.fetch_export", "security.confirm_email", "security.change_email_confirm"),
    "security.wan_delete",
}
LEADS = "ways => ways.map(way => new URL(way.href || way.action).pathname)"


class Site:
    """The application in the browser, and which of its pages were looked at."""

    def __init__(self, app: Flask, address: str, page: Page) -> None:
        """Look at `app`, which answers at `address`, in `page`."""
        self.app, self.address, self.page = app, address, page
        self.shown: tuple[str, str | None] = ("", None)
        self.seen: set[str | None] = set()
        self.paths: set[str] = set()
        self.links: set[str] = set()
        template_rendered.connect(self.note, app)

    def note(self, _: Flask, template: object, **__: object) -> None:
        """Note what is shown; of mails and macros there is nothing to see."""
        name = getattr(template, "name", None) or ""
        if name.startswith("auth/") and "/mail/" not in name:
            self.shown = (name, request.endpoint)

    def open(self, path: str) -> None:
        """Open a page and check it."""
        self.page.goto(self.address + path)
        self.check()

    def check(self) -> None:
        """Check the page that is shown."""
        page = self.page
        assert_accessible(page)
        ways = page.locator("main").locator("a, button")
        assert ways.count(), f"{page.url} is a dead end"
        self.seen.update(self.shown)
        here = urlsplit(page.url).path
        found = page.locator("a, form").evaluate_all(LEADS)
        self.paths.add(here)
        self.links.update(path for path in found if path != here)

    def refuse(self, button: str, **fields: str) -> None:
        """Send what is refused, and check what is said about it."""
        press(self.page, button, **fields)
        assert self.page.locator("[aria-invalid=true], .notice.error").count()
        self.check()


@pytest.fixture
def site(app: Flask, address: str, chromium: Page) -> Iterator[Site]:
    """Return the application in the browser; at the end, nothing may have gone wrong in it."""
    problems = watched(chromium)
    yield Site(app, address, chromium)
    assert problems == []


def every_page(app: Flask) -> set[str | None]:
    """Return the templates and the endpoints that have something to show."""
    folder = ROOT / "app" / "auth" / "templates" / "auth"
    templates = {f"auth/{path.name}" for path in folder.glob("[!_]*.html")}
    endpoints = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.methods
        and "GET" in rule.methods
        and (rule.endpoint in ROUTES or rule.endpoint.startswith("auth."))
    }
    return templates | (endpoints - NO_PAGE - {"auth.static"})


def test_every_page_is_accessible_and_leads_on(site: Site) -> None:
    visit_as_nobody(site)
    add_user(site.app, EMAIL)
    sign_in(site)
    visit_account(site)
    visit_address(site)
    visit_passkeys(site, play_device(site.page))
    visit_deletion(site, visit_second_factor(site))
    assert every_page(site.app) - site.seen == set(), "a page that nothing here looks at"
    plain = {path for path in site.paths if re.fullmatch(r"/users/[a-z-]*(/[a-z-]+)?", path)}
    assert plain <= site.links, "a page is reached by typing its address alone"


def sign_in(site: Site) -> None:
    site.page.goto(f"{site.address}/users/login")
    press(site.page, "Sign in", Email_Address=EMAIL, Password=PASSWORD)


def visit_as_nobody(site: Site) -> None:
    site.open("/users/login")
    site.refuse("Sign in")
    site.open("/users/register")
    site.refuse("Sign up", Password="soup")
    site.open(f"/users/register/{EMAIL}")
    site.open("/users/confirm/x")
    site.refuse("Send the link")
    site.open("/users/reset")
    site.refuse("Send the link")
    site.open("/users/passkeys/sign-in")
    press(site.page, "Use a passkey")
    site.check()


def visit_account(site: Site) -> None:
    site.open("/users/")
    site.open("/users/profile")
    press(site.page, "Keep it", Your_name=LONG)
    site.open("/users/sessions")
    site.open("/users/security-log")
    site.open("/users/export")
    press(site.page, "Export the data")
    site.check()
    packed(site.app)
    site.open("/users/export")
    site.open("/users/change")
    site.refuse("Set the password")


def visit_address(site: Site) -> None:
    site.open("/users/change-email")
    site.refuse("Send the link", New_address="nobody")
    press(site.page, "Send the link", New_address=f"new.{EMAIL}")
    site.check()
    site.page.goto(site.address + link(site.app, "change_email", "link"))
    site.open(link(site.app, "address_left", "undo_link"))
    press(site.page, "Take the address back")
    site.check()
    site.open("/users/change-email/undo/x")
    press_reset(site)
    sign_in(site)


def press_reset(site: Site) -> None:
    site.page.goto(f"{site.address}/users/reset")
    press(site.page, "Send the link", Email_Address=EMAIL)
    site.open(link(site.app, "reset", "reset_link"))
    site.refuse("Set the password", New_password=PASSWORD, New_password_again="another")
    press(site.page, "Set the password", New_password=PASSWORD, New_password_again=PASSWORD)


def visit_passkeys(site: Site, recognise: Callable[[bool], None]) -> None:
    page = site.page
    site.open("/users/passkeys")
    site.refuse("Add a passkey")
    recognise(False)
    press(page, "Add a passkey", Name_of_the_passkey="W" * 64)
    page.get_by_text("The browser did not get an answer").wait_for()
    site.check()
    recognise(True)
    press(page, "Try again")
    page.get_by_text("is added.").wait_for()
    site.check()
    site.app.config["SECURITY_FRESHNESS"] = timedelta(microseconds=1)
    page.goto(f"{site.address}/users/change")
    site.check()
    site.refuse("Go on", Password="wrong")
    click(page, "Use a passkey instead")
    site.check()
    recognise(False)
    press(page, "Use a passkey")
    page.get_by_text("The browser did not get an answer").wait_for()
    site.check()
    site.app.config["SECURITY_FRESHNESS"] = timedelta(minutes=10)


def visit_second_factor(site: Site) -> list[str]:
    page = site.page
    site.open("/users/two-factor")
    site.refuse("Turn two factors on", Code_of_the_app="0")
    phone = secret_of(page)
    press(page, "Turn two factors on", Code_of_the_app=phone.now())
    site.check()
    site.open("/users/two-factor")
    press(page, "Make new recovery codes")
    codes = page.locator("li code").all_inner_texts()
    site.check()
    press(page, "Sign out")
    sign_in(site)
    site.check()
    site.refuse("Go on", Code_of_the_app="0")
    click(page, "Lost your app? Use a recovery code")
    site.check()
    site.refuse("Go on", Recovery_code="0")
    press(page, "Go on", Recovery_code=codes[0])
    site.check()
    return codes


def visit_deletion(site: Site, codes: list[str]) -> None:
    page = site.page
    site.open("/users/delete")
    press(page, "Delete the account")
    site.check()
    sign_in(site)
    click(page, "Lost your app? Use a recovery code")
    press(page, "Go on", Recovery_code=codes[1])
    site.check()
    click(page, "Keep it after all?")
    site.check()
    site.open("/users/")
