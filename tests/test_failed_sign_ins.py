"""A sign-in that fails is logged whatever the reason, without the address and without a secret."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask_security import hash_password

from app.auth.models import User
from app.extensions import db
from app.models import utcnow
from tests.support import post

ADDRESS = "ada@example.com"
PASSWORD = "a stockpot full of soup"


@pytest.mark.parametrize(
    ("email", "password", "changes", "expected"),
    [
        ("stranger@example.com", PASSWORD, {}, "Sign-in with an unknown address"),
        (ADDRESS, "a wrong word", {}, "Wrong password for user {}"),
        (
            ADDRESS,
            PASSWORD,
            {"confirmed_at": None},
            "User {} could not sign in: the address is not confirmed",
        ),
        (
            ADDRESS,
            PASSWORD,
            {"active": False},
            "User {} could not sign in: the account is deactivated",
        ),
        (ADDRESS, "a wrong word", {"active": False}, "Wrong password for user {}"),
        ("no address", PASSWORD, {}, None),
    ],
)
def test_why_a_sign_in_failed_is_logged(  # noqa: PLR0917 - what is tried and what is told
    make_app: Callable[..., Flask],
    capsys: pytest.CaptureFixture[str],
    email: str,
    password: str,
    changes: dict[str, object],
    expected: str | None,
) -> None:
    app = make_app()
    fields = {"confirmed_at": utcnow(), "active": True, **changes}
    with app.app_context():
        user = User(email=ADDRESS, password=hash_password(PASSWORD), fs_uniquifier="ada", **fields)
        db.session.add(user)
        db.session.commit()
        number = user.id
    capsys.readouterr()
    answer = post(app.test_client(), "/users/login", email=email, password=password)
    assert answer.status_code == 422
    log = capsys.readouterr().out
    told = [line for line in log.splitlines() if "WARNING" in line]
    assert len(told) == (1 if expected else 0), log
    if expected:
        assert f"WARNING: {expected.format(number)} [in events.py" in told[0]
    for secret in (email, ADDRESS, PASSWORD, "a wrong word"):
        assert secret not in log
