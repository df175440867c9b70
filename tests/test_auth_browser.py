"""Journeys of accounts in the browser without scripts, and passkeys, which need them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests import browser_support
from tests.auth_support import PASSWORD, add_user
from tests.browser_support import click, play_device, press, said, watched
from tests.test_auth_address import link

pytestmark = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
address, chromium = browser_support.address, browser_support.chromium
new_page = browser_support.new_page

EMAIL = "ada@example.com"
NEW_PASSWORD = "another pot entirely"


@pytest.fixture
def two_pages(new_page: Callable[..., Page]) -> tuple[Page, Page]:
    """Return pages of two browsers in which scripts are off."""
    return new_page(java_script_enabled=False), new_page(java_script_enabled=False)


def sign_in(page: Page, address: str, password: str = PASSWORD, remember: bool = False) -> None:
    page.goto(f"{address}/users/login")
    page.get_by_label("Stay signed in on this browser").set_checked(remember)
    press(page, "Sign in", Email_Address=EMAIL, Password=password)


def is_in(page: Page, address: str) -> bool:
    page.goto(address)
    return page.get_by_text(f"You are signed in as {EMAIL}.").is_visible()


def test_mail_to_confirm_comes_again_and_a_forgotten_password_is_set_anew(
    app: Flask, address: str, two_pages: tuple[Page, Page]
) -> None:
    page, _ = two_pages
    page.goto(f"{address}/users/register")
    press(page, "Sign up", Email_Address=EMAIL, Password=PASSWORD)
    said(page, "We have sent a mail")
    sign_in(page, address)
    said(page, "or the address is not confirmed yet")
    click(page, "No mail to confirm your address?")
    press(page, "Send the link", Email_Address=EMAIL)
    said(page, "a mail with a new link is on its way")
    page.goto(address + link(app, "confirm", "confirmation_link"))
    said(page, "your address is confirmed")

    click(page, "Forgotten your password?")
    press(page, "Send the link", Email_Address=EMAIL)
    said(page, "a link to set a new password is on its way")
    reset = link(app, "reset", "reset_link")
    page.goto(address + reset)
    press(page, "Set the password", New_password=NEW_PASSWORD, New_password_again=NEW_PASSWORD)
    said(page, "Your new password is set.")
    page.goto(address + reset)
    said(page, "This link is not complete or was used already. Ask for a new one here.")
    sign_in(page, address, NEW_PASSWORD)
    assert is_in(page, address)


def test_new_password_and_signing_out_everywhere_end_other_sessions(
    app: Flask, address: str, two_pages: tuple[Page, Page]
) -> None:
    add_user(app, EMAIL)
    here, there = two_pages
    sign_in(here, address, remember=True)
    here.context.clear_cookies(name="session")
    assert is_in(here, address), "it was asked to stay signed in"
    sign_in(there, address)
    there.context.clear_cookies(name="session")
    assert not is_in(there, address), "it was not asked to"

    sign_in(there, address)
    press(here, "Sign out")
    assert not is_in(here, address)
    sign_in(here, address)
    here.goto(f"{address}/users/change")
    fields = {"New_password": NEW_PASSWORD, "New_password_again": NEW_PASSWORD}
    press(here, "Set the password", Your_password_now=PASSWORD, **fields)
    said(here, "Your new password is set, and all other browsers are signed out.")
    assert not is_in(there, address)

    sign_in(there, address, NEW_PASSWORD)
    click(here, "Where you are signed in")
    press(here, "Sign out everywhere")
    said(here, "You are signed out everywhere.")
    assert not is_in(there, address)


def test_an_old_address_is_taken_back(
    app: Flask, address: str, two_pages: tuple[Page, Page]
) -> None:
    add_user(app, EMAIL)
    owner, thief = two_pages
    sign_in(thief, address)
    thief.goto(f"{address}/users/change-email")
    press(thief, "Send the link", New_address="eve@example.com")
    thief.goto(address + link(app, "change_email", "link"))
    said(thief, "Your address is changed")

    undo = link(app, "address_left", "undo_link")
    owner.goto(address + undo)
    press(owner, "Take the address back")
    said(owner, "Your address is yours again.")
    assert not is_in(thief, address)
    press(owner, "Send the link", Email_Address=EMAIL)
    owner.goto(address + link(app, "reset", "reset_link"))
    press(owner, "Set the password", New_password=NEW_PASSWORD, New_password_again=NEW_PASSWORD)
    sign_in(owner, address, NEW_PASSWORD)
    assert is_in(owner, address)
    owner.goto(address + undo)
    click(owner, "Back to the home page", "button")
    expect(owner.get_by_text("You are signed in")).to_be_visible()


def test_a_sensitive_step_asks_for_the_password_again(
    app: Flask, address: str, two_pages: tuple[Page, Page]
) -> None:
    add_user(app, EMAIL)
    page, _ = two_pages
    sign_in(page, address)
    app.config["SECURITY_FRESHNESS"] = timedelta(microseconds=1)
    click(page, "Account")
    click(page, "Two factors")
    said(page, "Before this step, confirm that it is you.")
    app.config["SECURITY_FRESHNESS"] = timedelta(minutes=10)
    press(page, "Go on", Password="not this one")
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    press(page, "Go on", Password=PASSWORD)
    expect(page.get_by_role("heading", name="Turn two factors on")).to_be_visible()


def test_a_passkey_signs_in_confirms_and_is_removed(
    app: Flask, address: str, chromium: Page
) -> None:
    page = chromium
    problems = watched(page)
    recognise = play_device(page)
    add_user(app, EMAIL)
    sign_in(page, address)
    page.goto(f"{address}/users/passkeys")
    press(page, "Add a passkey", Name_of_the_passkey="my laptop")
    said(page, "The passkey my laptop is added.")

    press(page, "Sign out")
    page.goto(f"{address}/users/passkeys/sign-in")
    recognise(False)
    press(page, "Use a passkey")
    said(page, "The browser did not get an answer")
    recognise(True)
    press(page, "Try again")
    expect(page.get_by_text(f"You are signed in as {EMAIL}.")).to_be_visible()

    app.config["SECURITY_FRESHNESS"] = timedelta(microseconds=1)
    page.goto(f"{address}/users/change")
    click(page, "Use a passkey instead")
    app.config["SECURITY_FRESHNESS"] = timedelta(minutes=10)
    press(page, "Use a passkey")
    expect(page.get_by_role("heading", name="Change the password")).to_be_visible()

    page.goto(f"{address}/users/passkeys")
    press(page, "Remove my laptop")
    said(page, "The passkey my laptop is removed.")
    assert problems == []


def test_passkeys_say_that_they_need_scripts(
    app: Flask, address: str, new_page: Callable[..., Page]
) -> None:
    add_user(app, EMAIL)
    page = new_page(java_script_enabled=False)
    page.goto(f"{address}/users/login")
    click(page, "Sign in with a passkey")
    said(page, "Passkeys need JavaScript")
    press(page, "Use a passkey")
    said(page, "Passkeys need JavaScript")
    click(page, "Sign in with your password instead")
    sign_in(page, address)
    page.goto(f"{address}/users/passkeys")
    said(page, "Passkeys need JavaScript")
    press(page, "Add a passkey", Name_of_the_passkey="my laptop")
    said(page, "Passkeys need JavaScript")
    page.goto(f"{address}/users/passkeys/verify")
    said(page, "Passkeys need JavaScript")
    click(page, "Use your password instead")
