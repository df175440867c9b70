"""Links of mails that are stale, used, foreign, cut off or altered: none works, none is an error.

First each purpose and each kind of damage by itself, with what the visitor is told; then whatever
Hypothesis makes of a link.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from werkzeug.test import TestResponse

from tests.auth_support import add_user, link, sign_in, snapshot
from tests.support import post

ADDRESS, EVE = "ada@example.com", "eve@example.com"
DAY = 24 * 3600
SHARED = [HealthCheck.function_scoped_fixture]  # the examples share an application on purpose


def confirm(client: FlaskClient, email: str) -> str:
    # In another browser than that of the sign-up the link leads on to a new password.
    post(client, "/users/register", email=email, password="a stockpot full of soup")
    post(client, "/users/confirm", email=email)
    return link(client.application, "confirm", "confirmation_link")


def reset(client: FlaskClient, email: str) -> str:
    post(client, "/users/reset", email=email)
    return link(client.application, "reset", "reset_link")


def change(client: FlaskClient, email: str) -> str:
    sign_in(client, email)
    post(client, "/users/change-email", email=f"new.{email}")
    return link(client.application, "change_email", "link")


def undo(client: FlaskClient, email: str) -> str:
    client.get(change(client, email))
    return link(client.application, "address_left", "undo_link")


class Purpose(NamedTuple):
    """What a link is for, how one gets it, and what follows when it is no good."""

    get: Callable[[FlaskClient, str], str]
    status: int
    words: str
    used: str
    stale: str


INCOMPLETE, ANEW = "This link is not complete or", "Ask for a new one"
UNDONE = "This link is not valid any more"
PURPOSES = {
    "confirm": Purpose(confirm, 302, INCOMPLETE, "This address is confirmed already.", ANEW),
    "reset": Purpose(reset, 302, INCOMPLETE, INCOMPLETE, ANEW),
    "change": Purpose(change, 302, INCOMPLETE, INCOMPLETE, ANEW),
    "undo": Purpose(undo, 410, UNDONE, UNDONE, UNDONE),
}
purposes = pytest.mark.parametrize("purpose", PURPOSES)


def follow(client: FlaskClient, path: str, send: bool) -> TestResponse:
    """Open a link, or send the form that is behind it."""
    if not send:
        return client.get(path)
    fields = {"password": "another pot entirely", "password_confirm": "another pot entirely"}
    return post(client, path, form="/users/reset", **fields)


def page_after(client: FlaskClient, answer: TestResponse) -> str:
    """Return the page that the visitor sees in the end."""
    while answer.location:
        answer = client.get(answer.location)
    return answer.text


def ready(app: Flask, purpose: str) -> tuple[FlaskClient, str]:
    """Return a browser and a link that works in it."""
    for email in (ADDRESS, EVE):
        add_user(app, email, confirmed=purpose != "confirm")
    client = app.test_client()
    return client, PURPOSES[purpose].get(client, ADDRESS)


def altered(path: str, purpose: str, damage: str, app: Flask) -> str:
    stem, _, token = path.rpartition("/")
    payload, moment, signature = token.rsplit(".", 2)
    first = "B" if signature[0] == "A" else "A"
    last = "BB" if payload.endswith("AA") else "AA"
    others = [name for name in PURPOSES if name != purpose]
    return {
        "cut off": path[:-5],
        "no end": f"{stem}/{payload}",
        "signature": f"{stem}/{payload}.{moment}.{first}{signature[1:]}",
        "payload": f"{stem}/{payload[:-2]}{last}.{moment}.{signature}",
        "moment": f"{stem}/{payload}.zzzzzz.{signature}",
        "random": f"{stem}/96b04902f4b64b558cf758adc8bc7316",
        "long": f"{stem}/{'x' * 5000}",
        "zero": f"{stem}/%00{token}",
        "script": f"{stem}/%3Cscript%3E",
    }.get(damage) or f"{stem}/{foreign(app, others[0]).rpartition('/')[2]}"


def foreign(app: Flask, purpose: str) -> str:
    """Return a link of another purpose, for a user who has nothing to do with it."""
    add_user(app, "ida@example.com", confirmed=purpose != "confirm")
    return PURPOSES[purpose].get(app.test_client(), "ida@example.com")


DAMAGES = [
    "cut off",
    "no end",
    "signature",
    "payload",
    "moment",
    "random",
    "long",
    "zero",
    "script",
]


@purposes
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("send", [False, True], ids=["open", "send"])
def test_a_link_that_is_altered_does_nothing(
    app: Flask, purpose: str, damage: str, send: bool
) -> None:
    client, path = ready(app, purpose)
    bad = altered(path, purpose, damage, app)
    if send and purpose == "change":
        assert post(client, bad, form="/users/reset").status_code == 405
        return
    before = snapshot(app)
    answer = follow(client, bad, send)
    assert answer.status_code == PURPOSES[purpose].status
    page = page_after(client, answer)
    assert PURPOSES[purpose].words in page
    assert "Traceback" not in page
    assert "<script>" not in page
    assert EVE not in page
    assert snapshot(app) == before


@purposes
def test_a_link_works_once(app: Flask, purpose: str) -> None:
    client, path = ready(app, purpose)
    before = snapshot(app)
    assert follow(client, path, purpose in ("reset", "undo")).status_code == 302
    client.get("/")
    assert snapshot(app) != before, "the first time it works"
    before = snapshot(app)
    for send in (False, True) if purpose in ("reset", "undo") else (False,):
        answer = follow(client, path, send)
        assert answer.status_code == PURPOSES[purpose].status
        assert PURPOSES[purpose].used in page_after(client, answer)
    assert snapshot(app) == before


@purposes
def test_a_link_has_an_end(app: Flask, purpose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time()) - 8 * DAY)
        past.setitem(app.config, "PERMANENT_SESSION_LIFETIME", 30 * DAY)
        monkeypatch.setitem(app.config, "WTF_CSRF_TIME_LIMIT", None)
        if purpose == "undo":
            # The link that confirms must not be too old already.
            monkeypatch.setitem(app.config, "SECURITY_CHANGE_EMAIL_WITHIN", timedelta(days=30))
        client, path = ready(app, purpose)
    before = snapshot(app)
    answer = follow(client, path, False)
    assert answer.status_code == PURPOSES[purpose].status
    assert PURPOSES[purpose].stale in page_after(client, answer)
    assert snapshot(app) == before


@pytest.mark.parametrize("purpose", ["confirm", "reset", "change"])
def test_a_link_of_another_installation_does_nothing(
    app: Flask, make_app: Callable[..., Flask], purpose: str
) -> None:
    _, path = ready(make_app(SECRET_KEY="of another installation"), purpose)
    before, client = snapshot(app), app.test_client()
    assert PURPOSES[purpose].words in page_after(client, follow(client, path, False))
    assert snapshot(app) == before


@pytest.mark.parametrize("purpose", PURPOSES)
def test_whatever_is_made_of_a_link_does_nothing(app: Flask, purpose: str) -> None:
    client, path = ready(app, purpose)
    stem, _, token = path.rpartition("/")
    before = snapshot(app)

    @settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
    @given(st.data())
    def check(data: Any) -> None:
        bad = data.draw(anything_but(token))
        answer = client.get(f"{stem}/{bad}")
        assert answer.status_code in (302, 400, 404, 410), bad
        if purpose == "reset" and answer.status_code != 404:
            assert follow(client, f"{stem}/{bad}", True).location == "/users/reset", bad

    check()
    assert snapshot(app) == before


def is_spelled_anew(text: str, token: str) -> bool:
    """Tell whether `text` has the signature of `token` with signs that mean nothing in base64."""

    def read(link: str) -> tuple[str, bytes]:
        signed, _, signature = link.rpartition(".")
        return signed, urlsafe_b64decode(signature + "==")

    try:
        return read(text) == read(token)
    except ValueError:
        return False


def anything_but(token: str) -> st.SearchStrategy[str]:
    """Return texts that are not `token`: other ones, parts of it, and it with signs exchanged."""
    sign = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#%\\")
    places = st.integers(0, len(token) - 1)
    return st.one_of(
        st.text(sign, min_size=1, max_size=300),
        st.builds(lambda end: token[: max(end, 1)], places),
        st.builds(lambda at, new: token[:at] + new + token[at + 1 :], places, sign),
        st.builds(lambda at, new: token[:at] + new + token[at:], places, sign),
    ).filter(lambda text: not is_spelled_anew(text, token) and text not in (".", ".."))
