"""How arguments are stored: as JSON, and encrypted where some of them are secret.

Mails carry links that open an account. A copy of the database must open none.
"""

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app
from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from app.core.keys import derive

# In place of arguments that were sealed with another key; no task takes one of this name.
UNREADABLE = "sealed with another SECURITY_PASSWORD_SALT"


class Sealed(dict[str, Any]):
    """Arguments that are encrypted in the database."""


class Arguments(TypeDecorator[dict[str, Any]]):
    """JSON; what is Sealed goes in as a text that only this application can read."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what is stored."""
        if not isinstance(value, Sealed):
            return value
        return _box().encrypt(json.dumps(value).encode()).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what was stored; sealed arguments stay so when the row is written again."""
        if not isinstance(value, str):
            return value
        try:
            return Sealed(json.loads(_box().decrypt(value)))
        except InvalidToken:
            return Sealed(args=[], kwargs={UNREADABLE: True})


def _box() -> Fernet:
    return _box_of(derive(current_app, "arguments of jobs"))


@cache
def _box_of(key: str) -> Fernet:
    return Fernet(urlsafe_b64encode(bytes.fromhex(key)))
