"""Secrets, and a check that a log has none of them."""

import json
from urllib.parse import quote, unquote

PASSWORD = "Tr0ub4dor&3 and soup"
PASSPHRASE = "a stockpot full of soup"
WRONG = "wrong-Tr0ub4dor"
PARTS = ["and soup", "stockpot full"]  # what is left when only the first word is taken out
NEW = "another-Tr0ub4dor&4"
TOKEN = "deadbeefcafe0123456789"
ADDRESS = "ada.lovelace@example.com"
SECRET_KEY = "a-secret-key-that-signs-everything"
SIGNED = "WyJhIiwiYiJd.awNljg.SvsoD_qzTu0m54PA0f-tVh7H3Jc"


def assert_clean(log: str, *more: str) -> None:
    """Check that nothing is in `log` that has no business there."""
    secrets = [
        PASSWORD,
        PASSPHRASE,
        *PARTS,
        WRONG,
        NEW,
        TOKEN,
        ADDRESS,
        SECRET_KEY,
        SIGNED,
        "ada.lovelace",
        *more,
    ]
    for secret in secrets:
        for form in {secret, quote(secret), unquote(secret), json.dumps(secret)[1:-1]}:
            assert form not in log
