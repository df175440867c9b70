"""The whole life of an account in the browser, clicked from page to page."""

import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from app.auth import deletion
from app.extensions import db
from app.models import utcnow
from tests import browser_support
from tests.auth_support import PASSWORD
from tests.browser_support import click, play_device, press, said, secret_of, served, watched
from tests.support import Inbox, link_in

pytestmark = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
chromium, new_page = browser_support.chromium, browser_support.new_page

OLD, NEW = "ada@example.com", "ada@new.example"


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_whole_life_without_a_dead_end(
    live_app: Flask, inbox: Inbox, new_page: Callable[..., Page], scripts: bool
) -> None:
    phone, desk = new_page(java_script_enabled=scripts), new_page(java_script_enabled=scripts)
    problems = [watched(phone), watched(desk)]
    with served(live_app) as address:
        sign_up(phone, address, inbox)
        add_passkey(phone, scripts)
        codes = turn_two_factors_on(phone)

        desk.goto(address)
        click(desk, "Sign in")
        recover(desk, OLD, codes[0])
        codes = change_app(desk)
        click(phone, "Account")
        said(phone, "Sign in to see this page.")  # the change of the app has ended its session
        recover(phone, OLD, codes.pop())
        said(phone, "You have 9 recovery codes left.")
        remove_passkey(desk, scripts)
        end_session_of(phone, desk)
        change_address(desk, address, inbox)
        keep_name_and_colours(desk)
        export(desk, inbox)
        delete_and_keep(desk, codes)
        delete(desk, live_app)
    assert problems == [[], []]


def account(page: Page, name: str) -> None:
    """Open a page of the account, from wherever one is."""
    click(page, "Account")
    click(page, name)


def sign_in(page: Page, email: str) -> None:
    press(page, "Sign in", Email_Address=email, Password=PASSWORD)


def sign_up(page: Page, address: str, inbox: Inbox) -> None:
    page.goto(address)
    click(page, "Sign up")
    press(page, "Sign up", Email_Address=OLD, Password=PASSWORD)
    said(page, "open the link in it to confirm the address")
    page.goto(address + link_in(inbox.wait_for_subject(OLD, "Welcome to Stockpot")))
    said(page, "your address is confirmed")
    sign_in(page, OLD)
    expect(page.get_by_text(f"You are signed in as {OLD}.")).to_be_visible()


def add_passkey(page: Page, scripts: bool) -> None:
    account(page, "Passkeys")
    if not scripts:
        said(page, "Passkeys need JavaScript, which is off in this browser.")
        click(page, "Back to your account")
        return
    play_device(page)
    press(page, "Add a passkey", Name_of_the_passkey="my phone")
    said(page, "The passkey my phone is added.")
    click(page, "Sign out", "button")
    click(page, "Sign in")
    click(page, "Sign in with a passkey")
    click(page, "Use a passkey", "button")
    expect(page.get_by_text(f"You are signed in as {OLD}.")).to_be_visible()


def turn_two_factors_on(page: Page) -> list[str]:
    """Return the recovery codes."""
    account(page, "Two factors")
    press(page, "Turn two factors on", Code_of_the_app=secret_of(page).now())
    codes = page.locator("li code").all_inner_texts()
    assert len(codes) == 10
    click(page, "I have kept them", "button")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    return codes


def recover(page: Page, email: str, code: str) -> None:
    """Sign in with a recovery code in place of the app."""
    sign_in(page, email)
    click(page, "Lost your app? Use a recovery code")
    click(page, "Use the code of the app instead")
    click(page, "Lost your app? Use a recovery code")
    press(page, "Go on", Recovery_code=code)


def change_app(page: Page) -> list[str]:
    """Put an app on a new phone in place of the lost one; return the new recovery codes."""
    said(page, "You have 9 recovery codes left.")
    click(page, "Turn two factors off, and on again with a new one")
    click(page, "Turn two factors off", "button")
    said(page, "From now on the password alone signs you in.")
    return turn_two_factors_on(page)


def remove_passkey(page: Page, scripts: bool) -> None:
    if not scripts:
        return
    account(page, "Passkeys")
    click(page, "Remove my phone", "button")
    said(page, "The passkey my phone is removed.")


def end_session_of(phone: Page, page: Page) -> None:
    """End the session of the lost phone, which is the only other one."""
    account(page, "Where you are signed in")
    other = page.get_by_role("listitem").filter(has_text="Signed in", has_not_text="(this one)")
    other.get_by_role("button").click()
    said(page, "That session has ended.")
    click(phone, "Account")
    said(phone, "Sign in to see this page.")


def change_address(page: Page, address: str, inbox: Inbox) -> None:
    account(page, "Change the address")
    press(page, "Send the link", New_address=NEW)
    said(page, f"We have sent a mail to {NEW}")
    page.goto(address + link_in(inbox.wait_for(NEW)))
    said(page, "Your address is changed")
    expect(page.get_by_text(f"You are signed in as {NEW}.")).to_be_visible()


def keep_name_and_colours(page: Page) -> None:
    account(page, "Name, language of mails and colours")
    page.get_by_label("Colours").select_option("Dark")
    press(page, "Keep it", Your_name="Ada")
    said(page, "Your profile is changed.")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    click(page, "Back to your account")
    expect(page.get_by_text("Ada", exact=True)).to_be_visible()


def export(page: Page, inbox: Inbox) -> None:
    click(page, "Security log")
    expect(page.get_by_text("Address changed")).to_be_visible()
    click(page, "Back to your account")
    click(page, "Export your data")
    click(page, "Export the data", "button")
    said(page, "Your data is being packed.")
    inbox.wait_for_subject(NEW, "Your data is ready")
    account(page, "Export your data")
    with page.expect_download() as download:
        page.get_by_role("link", name="The export of").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert NEW in archive.read("account.json").decode()


def delete_and_keep(page: Page, codes: list[str]) -> None:
    """Begin to delete the account, and think better of it; then begin again."""
    account(page, "Delete the account")
    press(page, "Delete the account")
    said(page, "Sign in to keep it.")
    recover(page, NEW, codes[0])
    click(page, "Keep it after all?")
    click(page, "Keep the account", "button")
    said(page, "Your account stays.")
    account(page, "Delete the account")
    press(page, "Delete the account")


def delete(page: Page, app: Flask) -> None:
    """Let the week pass in which one may think better of it."""
    said(page, "Your account will be deleted on")
    with app.app_context():
        assert deletion.delete_due(utcnow() + timedelta(days=8)) == 1
        db.session.commit()
    sign_in(page, NEW)
    said(page, "The address or the password is wrong")
