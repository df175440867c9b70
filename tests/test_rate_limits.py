"""Routes that anybody may post to answer 429 past their limit, with or without a store."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.support import free_port

# Written down here too: a limit that is lost in the code must fail a test.
LIMITS = {
    "/contact": 5,
    "/users/confirm": 5,
    "/users/login": 10,
    "/users/register": 10,
    "/users/reset": 5,
    "/users/reset/token": 10,
    "/users/verify": 10,
}


def codes(app: Flask, path: str, count: int, address: str = "192.0.2.1") -> list[int]:
    """Post an empty form `count` times from `address`; return the statuses."""
    client = app.test_client()
    environment = {"REMOTE_ADDR": address}
    return [client.post(path, environ_base=environment).status_code for _ in range(count)]


@pytest.mark.parametrize("path", LIMITS)
def test_a_form_posted_too_often_gets_429(make_app: Callable[..., Flask], path: str) -> None:
    app = make_app(RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False)
    limit = LIMITS[path]
    answers = codes(app, path, limit + 2)
    assert 429 not in answers[:limit]
    assert 500 not in answers
    assert answers[limit:] == [429, 429]
    assert 429 not in codes(app, path, 1, "192.0.2.2"), "another visitor is not to blame"
    assert app.test_client().get(path, environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code != 429


def test_a_dead_store_neither_fails_a_request_nor_lifts_the_limits(
    make_app: Callable[..., Flask],
) -> None:
    store = f"redis://127.0.0.1:{free_port()}/0"
    app = make_app(RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False, REDIS_URL=store)
    assert codes(app, "/users/login", 12) == [422] * 10 + [429] * 2


def test_threads_that_find_the_store_dead_at_once_answer_all_the_same(
    make_app: Callable[..., Flask],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        app = make_app(RATELIMIT_ENABLED=True, WTF_CSRF_ENABLED=False, REDIS_URL=store)
        with ThreadPoolExecutor(8) as threads:
            visits = [threads.submit(codes, app, "/users/login", 1) for _ in range(8)]
            assert [visit.result() for visit in visits] == [[422]] * 8
