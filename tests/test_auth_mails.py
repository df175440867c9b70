"""Mails about accounts: what each says, in each language, and who gets one."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from jinja2 import meta
from playwright.sync_api import Page
from sqlalchemy import select

from app.auth import devices, languages, mails, rights
from app.core import mail
from app.extensions import db
from app.jobs.models import Job
from tests import test_make
from tests.auth_support import add_user, sign_in, user_of
from tests.support import ROOT, Inbox, link_in, post, text_of

chromium = test_make.chromium
EMAIL = "ada@example.com"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"
FOLDER = ROOT / "app/auth/templates/auth/mail"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt") if not path.stem.startswith("_"))
# In each language: from where, and how the advice begins.
WORDS = {
    "en": ("From: Firefox on Linux, at the address 192.0.2.7", ("If ", "The link ")),
    "de": ("Von: Firefox auf Linux, unter der Adresse 192.0.2.7", ("Wenn ", "Der Link ")),
}
PASSKEY = "a “key” <b>& more</b>"
VALUES = {
    **dict.fromkeys(
        ("confirmation_link", "recovery_link", "reset_link", "undo_link", "link"),
        "https://soup.example/x?a=1&b=2",
    ),
    **{"day": "05 May 2026", "left": 7, "name": PASSKEY, "role": "admin", "tries": 5},
    "until": "05 May 2026, 08:50 UTC",
}
by_language = pytest.mark.parametrize("language", languages.LANGUAGES)


def written(app: Flask) -> list[EmailMessage]:
    """Return the mails that were written, made as a worker makes them."""
    with app.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.created_at)).all()
        arguments = [(job.arguments["args"], job.arguments["kwargs"]) for job in jobs]
        return [mail.compose(*args, message_id="1", **more) for args, more in arguments]


def html_of(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part
    return part.get_content()


def choose(app: Flask, language: str) -> None:
    with app.app_context():
        user_of(EMAIL).language = language
        db.session.commit()


def tell(app: Flask, name: str, **changes: str) -> None:
    """Write a mail as for a visitor with Firefox."""
    visit = app.test_request_context(
        headers={"User-Agent": FIREFOX}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )
    with visit:
        mails.tell(user_of(EMAIL), f"auth/mail/{name}", **{**VALUES, **changes})
        db.session.commit()


def test_every_language_has_every_mail_with_the_same_in_it(app: Flask) -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert {"en", *folders} == set(languages.LANGUAGES)
    for folder in folders:
        for path in FOLDER.iterdir():
            if path.is_file():
                original, translation = (
                    meta.find_undeclared_variables(app.jinja_env.parse(file.read_text("utf-8")))
                    for file in (path, FOLDER / folder / path.name)
                )
                assert original == translation, f"{folder}/{path.name}"
        assert len([*(FOLDER / folder).iterdir()]) == len([*FOLDER.glob("*.*")]), "none left over"


@by_language
def test_every_mail_says_when_from_where_and_what_to_do(app: Flask, language: str) -> None:
    add_user(app, EMAIL)
    choose(app, language)
    where, advice = WORDS[language]
    for name in NAMES:
        tell(app, name)
    for name, message in zip(NAMES, written(app), strict=True):
        text, html = text_of(message), html_of(message)
        paragraphs = text.strip().split("\n\n")
        assert message["Subject"], name
        assert where in text, name
        assert languages.day(datetime.now(UTC), language) in text, name
        assert paragraphs[-1].startswith(advice), name
        assert f'<html lang="{language}">' in html
        assert f"<h1>{message['Subject']}</h1>" in html
        assert ('<a href="https://soup.example/x?a=1&amp;b=2">' in html) == ("https://" in text)


@by_language
def test_what_people_wrote_is_text_in_the_html(app: Flask, language: str) -> None:
    add_user(app, EMAIL)
    choose(app, language)
    tell(app, "passkey_added")
    (message,) = written(app)
    assert PASSKEY in text_of(message)
    assert "<b>" not in html_of(message)
    assert "&lt;b&gt;&amp; more&lt;/b&gt;" in html_of(message)


def test_translations_differ_from_the_original(app: Flask) -> None:
    add_user(app, EMAIL)
    for language in languages.LANGUAGES:
        choose(app, language)
        for name in NAMES:
            tell(app, name)
    seen: dict[str, set[str]] = {name: set() for name in NAMES}
    for name, message in zip(NAMES * len(languages.LANGUAGES), written(app), strict=True):
        lines = {*text_of(message).splitlines(), message["Subject"]} - {"", VALUES["link"]}
        assert not lines & seen[name], name
        seen[name] |= lines


def test_language_chosen_in_the_profile_is_that_of_mails(live_app: Flask, inbox: Inbox) -> None:
    add_user(live_app, EMAIL)
    client = live_app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = FIREFOX
    sign_in(client, EMAIL)
    post(client, "/users/profile", display_name="", language="de", theme="system")
    assert '<option selected value="de">Deutsch</option>' in client.get("/users/profile").text
    post(client, "/users/export")
    message = inbox.wait_for(EMAIL)
    assert message["Subject"] == "Ihre Daten liegen bereit"
    text = text_of(message)
    assert "Von: Firefox auf Linux, unter der Adresse 127.0.0.1" in text
    assert f"Wann: {languages.day(datetime.now(UTC), 'de')}" in text
    assert '<html lang="de">' in html_of(message)
    assert client.get(link_in(message)).status_code == 200
    post(client, "/users/logout", form="/")
    post(client, "/users/reset", email=EMAIL)
    assert inbox.wait_for(EMAIL, 2)["Subject"] == "Neues Passwort setzen"


def test_language_that_is_not_offered_is_refused(app: Flask) -> None:
    add_user(app, EMAIL)
    client = app.test_client()
    sign_in(client, EMAIL)
    for language in ("xx", "../en", ""):
        answer = post(client, "/users/profile", language=language, theme="dark")
        assert answer.status_code == 422
    with app.app_context():
        assert (user_of(EMAIL).language, user_of(EMAIL).theme) == ("en", "system")


@pytest.mark.parametrize("language", ["fr", "../.."])
def test_mail_that_is_not_translated_is_in_english(app: Flask, language: str) -> None:
    with app.app_context():
        message = mail.compose(
            EMAIL, "auth/mail/activated", {"when": "now"}, message_id="1", language=language
        )
    assert message["Subject"] == "Your account is active again"
    assert '<html lang="en">' in html_of(message)


def test_days_and_devices_are_in_the_language() -> None:
    days = [languages.day(datetime(2026, month, 5, tzinfo=UTC), "de") for month in range(1, 13)]
    assert " ".join(day.split()[1] for day in days) == (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
    )
    assert days[0] == "05. Januar 2026"
    assert languages.moment(datetime(2026, 5, 5, 8, 50, tzinfo=UTC), "en") == (
        "05 May 2026, 08:50 UTC"
    )
    assert devices.describe("Safari/ iPhone", "de") == "Safari auf einem iPhone"
    assert devices.describe("x", "de") == "Ein unbekannter Browser"
    for system in devices.SYSTEMS.values():
        assert not devices.describe(system, "de").endswith((" a Mac", " an iPad", " an iPhone"))


def run(app: Flask, *args: str) -> None:
    assert app.test_cli_runner().invoke(args=["auth", *args]).exit_code == 0


def test_changes_of_rights_are_told(app: Flask) -> None:
    add_user(app, EMAIL)
    for command in ("grant", "revoke"):
        for _ in range(2):
            run(app, command, EMAIL, "admin")
    for command in ("deactivate", "activate"):
        for _ in range(2):
            run(app, command, EMAIL)
    messages = written(app)
    assert [message["Subject"] for message in messages] == [
        "Your account has a new role",
        "Your account has lost a role",
        "Your account is deactivated",
        "Your account is active again",
    ]
    for message in messages:
        assert message["To"] == EMAIL
        assert "By: an administrator of Stockpot" in text_of(message)
        assert "From:" not in text_of(message)
    assert "“admin”" in text_of(messages[0])


def test_change_of_rights_that_is_undone_is_not_told(app: Flask) -> None:
    add_user(app, EMAIL)
    with app.app_context():
        rights.grant(user_of(EMAIL), "admin")
        db.session.rollback()
    assert written(app) == []


def test_address_that_nobody_confirmed_gets_no_mail_about_rights(app: Flask) -> None:
    add_user(app, EMAIL, confirmed=False)
    run(app, "grant", EMAIL, "admin")
    run(app, "deactivate", EMAIL)
    assert written(app) == []


def test_invitation_says_that_it_comes_from_an_administrator(app: Flask) -> None:
    run(app, "create-admin", EMAIL, "--mail")
    (message,) = written(app)
    assert "By: an administrator of Stockpot" in text_of(message)
    assert f"When: {languages.day(datetime.now(UTC), 'en')}" in text_of(message)


def test_mails_can_be_read_in_light_and_dark(app: Flask, chromium: Page) -> None:
    add_user(app, EMAIL)
    tell(app, "already_registered", confirmation_link=f"https://soup.example/{'x' * 300}")
    (message,) = written(app)
    chromium.set_content(html_of(message))
    background = set()
    for scheme in ("light", "dark"):
        chromium.emulate_media(color_scheme=scheme)
        background.add(chromium.evaluate("getComputedStyle(document.body).backgroundColor"))
        for width in (375, 1280):
            chromium.set_viewport_size({"width": width, "height": 800})
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        result = Axe().run(chromium, options={"runOnly": ["wcag2a", "wcag2aa"]})
        assert result.violations_count == 0, result.generate_report()
    assert len(background) == 2
