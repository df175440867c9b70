"""Where people are led after a step: to a page of this site, whatever an address says."""

import re
from collections.abc import Callable
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from flask import Flask

from tests.auth_support import PASSWORD, add_user, sign_in
from tests.passkey_support import SIGN_IN, add, send, start
from tests.support import post
from tests.test_auth_two_factor import CODE, turn_on

EMAIL = "ada@example.com"
TARGETS = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\t/evil.example",
    "https://evil.example/",
    "https:evil.example",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
]


def by_password(app: Flask, target: str) -> str | None:
    return sign_in(app.test_client(), EMAIL, next=target).location


def by_address(app: Flask, target: str) -> str | None:
    client = app.test_client()
    page = client.get("/users/login", query_string={"next": target}).text
    assert 'href="//evil' not in page
    fields = dict(re.findall(r'name="(csrf_token|next)"[^>]*value="([^"]*)"', page))
    data = {"email": EMAIL, "password": PASSWORD, **fields}
    return client.post("/users/login", query_string={"next": target}, data=data).location


def again(app: Flask, target: str) -> str | None:
    client = app.test_client()
    sign_in(client, EMAIL)
    return post(client, "/users/verify", password=PASSWORD, next=target).location


def with_a_code(app: Flask, target: str) -> str | None:
    client = app.test_client()
    sign_in(client, EMAIL)
    phone, _ = turn_on(client)
    client = app.test_client()
    sign_in(client, EMAIL)
    path = f"{CODE}?{urlencode({'next': target})}"
    return post(client, path, form=CODE, code=phone.now(), next=target).location


def with_a_passkey(app: Flask, target: str) -> str | None:
    client = app.test_client()
    sign_in(client, EMAIL)
    device, client = add(client), app.test_client()
    action, options = start(client, SIGN_IN)
    action = f"{action}?{urlencode({'next': target})}"
    return send(client, action, device.get(options), next=target).location


@pytest.mark.parametrize("path", ["/users/login", "/users/passkeys/sign-in"])
def test_a_form_says_why_it_does_not_lead_there(app: Flask, path: str) -> None:
    add_user(app, EMAIL)
    answer = post(app.test_client(), path, email=EMAIL, password=PASSWORD, next="//evil.example")
    assert answer.status_code == 422
    assert "The link that brought you here goes on to another site." in answer.text


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("step", [by_password, by_address, again, with_a_code, with_a_passkey])
def test_no_step_leads_to_another_site(
    app: Flask, step: Callable[[Flask, str], str | None], target: str
) -> None:
    add_user(app, EMAIL)
    location = step(app, target)
    if location is None:  # the form was refused
        return
    # A browser drops tabs and line ends, and takes a backslash for a slash.
    seen = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    leads_to = urlsplit(urljoin("http://localhost/users/login", seen))
    assert (leads_to.scheme, leads_to.netloc) == ("http", "localhost"), location
