"""Two factors: codes of an app, recovery codes, and what is no code."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyotp.totp import TOTP
from sqlalchemy import select

from app.auth.models import RecoveryCode, User
from app.extensions import db
from tests.auth_support import link
from tests.support import Inbox, csrf_token, post, text_of
from tests.test_auth import add_user, queued, sign_in
from tests.test_auth_address import change
from tests.test_auth_password import grow_old, is_in

CODE, RECOVERY = "/users/two-factor/code", "/users/two-factor/recovery"


@pytest.fixture
def user(app: Flask) -> str:
    """Return the address of a confirmed user whose password is PASSWORD."""
    return add_user(app, "ada@example.com")


def turn_on(client: FlaskClient) -> tuple[TOTP, list[str]]:
    """Turn two factors on, with the code before this one; return the app and the recovery codes."""
    page = client.get("/users/two-factor").text
    found = re.search(r'<code class="secret">([A-Z2-7-]+)</code>', page)
    assert found
    assert re.search(r'<img class="qr" src="data:image/svg\+xml', page)
    assert "style=" not in page
    phone = TOTP(found[1].replace("-", ""))
    answer = post(client, "/users/two-factor", code=phone.at(time.time() - 30))
    if answer.status_code == 422:  # a new code began meanwhile, so the one before it is too old
        answer = post(client, "/users/two-factor", code=phone.at(time.time() - 30))
    assert "Your recovery codes" in answer.text, answer.text
    return phone, re.findall(r"<li><code>([0-9a-f-]+)</code></li>", answer.text)


@pytest.fixture
def protected(app: Flask, user: str) -> tuple[TOTP, list[str]]:
    """Return the app and the recovery codes of `user`, who has two factors."""
    client = app.test_client()
    sign_in(client, user)
    return turn_on(client)


def test_whole_life_of_a_second_factor(live_app: Flask, inbox: Inbox) -> None:
    email = add_user(live_app, "ada@example.com")
    client = live_app.test_client()
    sign_in(client, email)
    phone, codes = turn_on(client)
    assert len(set(codes)) == 10
    mail = inbox.wait_for_subject(email, "Two factors are on")
    assert "at the address 127.0.0.1" in text_of(mail)
    assert "You have 10 recovery codes" in client.get("/users/two-factor").text
    assert codes[0] not in client.get("/users/two-factor").text

    other = live_app.test_client()
    assert sign_in(other, email, remember="y").location.startswith(CODE)
    assert not is_in(other)
    assert post(other, CODE, code=phone.now()).status_code == 302
    other.delete_cookie("session")
    assert is_in(other), "the wish to stay signed in survives the second step"

    lost = live_app.test_client()
    sign_in(lost, email)
    assert post(lost, RECOVERY, code=codes[3].upper().replace("-", " ")).location == "/"
    assert is_in(lost)
    mail = inbox.wait_for_subject(email, "A recovery code was used")
    assert "Codes left: 9." in text_of(mail)

    fresh = post(client, "/users/two-factor/codes", form="/users/two-factor").text
    assert not set(codes) & set(re.findall(r"<code>([0-9a-f-]+)</code>", fresh))
    inbox.wait_for_subject(email, "New recovery codes were made")
    log = client.get("/users/security-log").text
    assert log.count("New recovery codes made") == log.count("Recovery code used") == 1
    assert post(client, "/users/two-factor/off", form="/users/two-factor").status_code == 302
    inbox.wait_for_subject(email, "Two factors are off")
    assert sign_in(live_app.test_client(), email).location == "/"


def test_a_database_that_is_copied_holds_no_code_and_no_secret(
    app: Flask, user: str, protected: tuple[TOTP, list[str]]
) -> None:
    phone, codes = protected
    with app.app_context():
        stored = db.session.scalars(select(User)).one().tf_totp_secret
        digests = db.session.scalars(select(RecoveryCode.digest)).all()
    assert stored
    assert phone.secret not in stored
    assert len(digests) == 10
    assert not [code for code in codes if code.replace("-", "") in "".join(digests)]


@pytest.mark.parametrize("when", [-3600, -61, 61, 3600])
def test_codes_of_the_past_and_the_future_are_refused(
    app: Flask, client: FlaskClient, user: str, protected: tuple[TOTP, list[str]], when: int
) -> None:
    sign_in(client, user)
    answer = post(client, CODE, code=protected[0].at(time.time() + when))
    assert answer.status_code == 422
    assert "This code is wrong, too old, or was used already." in answer.text
    assert not is_in(client)


def test_a_code_works_once(app: Flask, user: str, protected: tuple[TOTP, list[str]]) -> None:
    phone, _ = protected
    code = phone.now()
    first, client = app.test_client(), app.test_client()
    sign_in(first, user)
    assert post(first, CODE, code=code).status_code == 302
    sign_in(client, user)
    assert post(client, CODE, code=code).status_code == 422
    older = post(client, CODE, code=phone.at(time.time() - 30))
    assert older.status_code == 422, "nor one from before"


def test_a_recovery_code_works_once_and_only_for_its_user(
    app: Flask, user: str, protected: tuple[TOTP, list[str]]
) -> None:
    _, codes = protected
    other = app.test_client()
    sign_in(other, add_user(app, "eve@example.com"))
    turn_on(other)
    eve = app.test_client()
    sign_in(eve, "eve@example.com")
    assert post(eve, RECOVERY, code=codes[0]).status_code == 422, "of another user"
    answers = []
    for _ in range(2):
        client = app.test_client()
        sign_in(client, user)
        answers.append(post(client, RECOVERY, code=codes[0]).status_code)
    assert answers == [302, 422]


@pytest.mark.parametrize("path", [CODE, RECOVERY, "/users/two-factor"])
@pytest.mark.parametrize("code", ["", "12345", "abcdef", "٠١٢٣٤٥", "0" * 5000, "<b>", "000 000"])
def test_what_is_no_code_is_refused(
    app: Flask, client: FlaskClient, user: str, path: str, code: str
) -> None:
    sign_in(client, user)
    if path != "/users/two-factor":
        turn_on(client)
        client = app.test_client()
        sign_in(client, user)
    answer = post(client, path, code=code)
    assert answer.status_code == 422
    assert "Traceback" not in answer.text
    assert queued(app) == (0 if path == "/users/two-factor" else 1)


def test_second_steps_without_the_first_lead_to_it(client: FlaskClient, user: str) -> None:
    for path in (CODE, RECOVERY):
        assert client.get(path).location == "/users/login"
    sign_in(client, user)
    for path in (CODE, RECOVERY):
        assert client.get(path).location == "/"
    assert is_in(client), "looking signs nobody out"


def test_a_new_password_between_the_steps_ends_the_sign_in(
    app: Flask, client: FlaskClient, user: str, protected: tuple[TOTP, list[str]]
) -> None:
    sign_in(client, user)
    with app.app_context():
        db.session.scalars(select(User)).one().fs_uniquifier = "another"
        db.session.commit()
    answer = client.get(CODE)
    assert answer.location == "/users/login"
    assert not is_in(client)


def test_a_new_password_by_mail_keeps_the_second_factor(
    app: Flask, client: FlaskClient, user: str, protected: tuple[TOTP, list[str]]
) -> None:
    post(client, "/users/reset", email=user)
    new = "another pot entirely"
    post(client, link(app, "reset", "reset_link"), password=new, password_confirm=new)
    assert not is_in(client)
    assert sign_in(client, user, new).location.startswith(CODE)
    assert not is_in(client)


@pytest.mark.parametrize("since", [True, False])
def test_taking_an_address_back_turns_off_what_was_set_up_since(
    app: Flask, client: FlaskClient, user: str, since: bool
) -> None:
    sign_in(client, user)
    if not since:
        turn_on(client)
    undo = change(app, client)
    if since:
        turn_on(client)
    owner = app.test_client()
    post(owner, undo)
    post(owner, "/users/reset", email=user)
    new = "another pot entirely"
    post(owner, link(app, "reset", "reset_link"), password=new, password_confirm=new)
    sign_in(owner, user, new)
    assert is_in(owner) is since


def test_an_old_sign_in_is_asked_for_the_password(client: FlaskClient, user: str) -> None:
    sign_in(client, user)
    grow_old(client)
    assert client.get("/users/two-factor").location.startswith("/users/verify")
    for path in ("/users/two-factor/off", "/users/two-factor/codes"):
        assert post(client, path, form="/users/").location.startswith("/users/verify")


def test_codes_and_off_do_nothing_while_two_factors_are_off(
    app: Flask, client: FlaskClient, user: str
) -> None:
    sign_in(client, user)
    for path in ("/users/two-factor/off", "/users/two-factor/codes"):
        assert post(client, path, form="/users/change").location == "/users/two-factor"
    assert queued(app) == 0


@pytest.mark.parametrize(
    "path",
    ["/users/tf-setup", "/users/tf-rescue", "/users/tf-select", "/users/mf-recovery-codes"],
)
def test_pages_of_the_library_that_ours_replace_are_shut(
    client: FlaskClient, user: str, path: str
) -> None:
    sign_in(client, user)
    assert client.get(path).status_code == 404
    assert post(client, path, form="/users/change").status_code == 404


def test_a_secret_that_waits_is_not_that_of_the_user_before(
    app: Flask, client: FlaskClient, user: str
) -> None:
    def shown() -> str:
        found = re.search(r'<code class="secret">([A-Z2-7-]+)</code>', page())
        assert found
        return found[1]

    def page() -> str:
        return client.get("/users/two-factor").text

    sign_in(client, user)
    first = shown()
    assert shown() == first, "one may look again"
    post(client, "/users/logout", form="/")
    sign_in(client, add_user(app, "eve@example.com"))
    assert shown() != first


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_of_two_requests_with_one_code_one_signs_in(
    app: Flask, user: str, protected: tuple[TOTP, list[str]], kind: str
) -> None:
    phone, codes = protected
    path, code = (CODE, phone.now()) if kind == "app" else (RECOVERY, codes[0])
    clients = [app.test_client() for _ in range(4)]
    tokens = []
    for client in clients:
        sign_in(client, user)
        tokens.append(csrf_token(client, path))
    barrier = threading.Barrier(len(clients))

    def send(client: FlaskClient, token: str) -> int:
        barrier.wait()
        return client.post(path, data={"csrf_token": token, "code": code}).status_code

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = sorted(pool.map(send, clients, tokens))
    assert answers == [302, 422, 422, 422]


def test_a_colon_in_the_name_of_the_application_does_no_harm(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app(APP_NAME="Soup: the shop").test_client()
    sign_in(client, add_user(client.application, "ada@example.com"))
    turn_on(client)
