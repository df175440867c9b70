"""Any text as an address: refused with a sentence, or stored in one form, one account for each."""

import re
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask_security import EmailValidateException, MailUtil
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from app import create_app
from app.auth.models import User
from app.core import mail
from app.extensions import db
from tests.auth_support import PASSWORD, add_user
from tests.support import csrf_token, post

ENDS = "\r\n\x0b\x0c\x85\u2028\u2029"  # of lines
SIGN = st.characters(exclude_categories=["Cs"])
NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789._+-", min_size=1, max_size=20)
ADDRESS = st.builds("{}@{}.example".format, NAME, st.text("abcxyz", min_size=1, max_size=8))
ANYTHING = st.one_of(
    st.text(SIGN, max_size=80),
    st.builds("{}@{}".format, st.text(SIGN, max_size=20), st.text(SIGN, max_size=20)),
    st.builds(
        "{}{}{}".format, ADDRESS, st.sampled_from('\r\n\t\0\x0b\x85\u2028 ,;<>"'), st.text(SIGN)
    ),
    ADDRESS,
)


@pytest.fixture(scope="module")
def normal_of() -> Iterator[Callable[[str], str | None]]:
    """Return a function that gives the stored form of an address, None if it is refused."""
    app = create_app("config.TestingConfig")
    util: MailUtil = app.extensions["security"].mail_util

    told: set[str] = set()

    def normal(text: str) -> str | None:
        try:
            stored = util.validate(text)
        except EmailValidateException as error:
            told.add(error.msg)
            with pytest.raises(EmailValidateException):
                util.normalize(text)
            return None
        assert util.normalize(text) == stored, "it is looked for as it is stored"
        return stored

    with app.app_context():
        yield normal
    assert all(re.fullmatch(r"[A-Z].*\.", words) for words in told), "sentences"


@settings(max_examples=500, deadline=None)
@given(ANYTHING)
@example("ada@example.com\r\nBcc: eve@example.com")
@example("ﬁ@example.com")
@example("ada@ﬁsh.example")
@example("ada@xn--fiqs8s.example")
@example('"a b"@example.com')
def test_any_text_is_refused_or_has_one_normal_form(
    normal_of: Callable[[str], str | None], text: str
) -> None:
    stored = normal_of(text)
    if stored is None:
        return
    assert normal_of(stored) == stored
    assert stored == stored.lower()
    assert not [sign for sign in stored if unicodedata.category(sign)[0] in "CZ"]
    assert len(stored) <= 254
    assert stored.partition("@")[0].isascii()


def full_width(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if sign.isalnum() else sign for sign in text)


@settings(max_examples=300, deadline=None)
@given(ADDRESS, st.data())
def test_what_is_the_same_for_people_is_the_same_account(
    normal_of: Callable[[str], str | None], address: str, data: st.DataObject
) -> None:
    stored = normal_of(address)
    assume(stored is not None)
    local, _, domain = address.partition("@")
    others = {
        "upper": address.upper(),
        "mixed": "".join(data.draw(st.sampled_from([s.upper(), s])) for s in address),
        "domain": f"{local}@{full_width(domain)}",
        "local": f"{full_width(local)}@{domain}",
        "spaces": f" {address}\t",
    }
    assert normal_of(others["upper"]) == normal_of(others["mixed"]) == stored
    for other in others.values():
        assert unicodedata.normalize("NFKC", other).strip().lower() == address
        assert normal_of(other) in (stored, None)


@settings(max_examples=200, deadline=None)
@given(
    ADDRESS, st.text(SIGN, min_size=1, max_size=10), st.sampled_from("\r\n\x0b\x0c\x85\u2028\u2029")
)
def test_no_address_adds_a_header_to_a_mail(
    normal_of: Callable[[str], str | None], address: str, rest: str, line: str
) -> None:
    for text in (
        f"{address}{line}{rest}",
        f"{rest}{line}{address}",
        address.replace("@", f"@{line}"),
    ):
        stored = normal_of(text)
        # Line ends around an address belong to what is around it, as spaces do.
        assert stored is None or stored == normal_of(text.strip())
        assert stored is None or not re.search(r"[\r\n]", stored)
    context = {"name": "Ada", "email": "ada@example.com", "message": "Soup"}
    try:
        message = mail.compose(
            f"{address}{line}{rest}", "main/mail/contact", context, message_id="1"
        )
    except ValueError:
        return
    assert "bcc" not in message
    assert len(message.get_all("To", [])) == 1


NO_RESET = [HealthCheck.function_scoped_fixture]  # the examples share an application on purpose


@settings(max_examples=25, deadline=None, suppress_health_check=NO_RESET)
@given(text=st.one_of(ANYTHING, ADDRESS))
def test_whatever_is_typed_is_answered(app: Flask, text: str) -> None:
    client = app.test_client()
    token = csrf_token(client, "/users/register")
    data = {"csrf_token": token, "email": text, "password": PASSWORD}
    assert client.post("/users/register", data=data).status_code in (302, 422)
    for path in ("/users/login", "/users/reset", "/users/confirm"):
        answer = client.post(path, data={**data, "password": "wrong password"})
        assert answer.status_code in (200, 422)
    with app.app_context():
        stored = db.session.scalars(select(User.email)).all()
    assert len(stored) == len({unicodedata.normalize("NFKC", email).casefold() for email in stored})


@pytest.mark.parametrize(
    "other",
    ["ADA@EXAMPLE.COM", "Ada@Example.com", " ada@example.com", f"ada@{full_width('example')}.com"],
)
def test_another_spelling_signs_up_signs_in_and_resets_the_same_account(
    app: Flask, other: str
) -> None:
    add_user(app, "ada@example.com")
    client = app.test_client()
    assert post(client, "/users/register", email=other, password="another pot").status_code == 302
    assert post(client, "/users/login", email=other, password=PASSWORD).status_code == 302
    with app.app_context():
        assert db.session.scalars(select(User.email)).all() == ["ada@example.com"]


@pytest.mark.parametrize("path", ["login", "register", "reset", "confirm"])
def test_an_address_is_found_by_its_index(app: Flask, path: str) -> None:
    client = app.test_client()
    add_user(app, "ada@example.com", confirmed=path != "confirm")
    statements: list[str] = []
    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    post(client, f"/users/{path}", email="ADA@example.com", password=PASSWORD)
    looked_up = [text for text in statements if re.search(r"WHERE users\.email = ", text)]
    assert looked_up
    assert not [text for text in statements if "lower(" in text]
