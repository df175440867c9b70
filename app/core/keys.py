"""Keys of this application, each for one purpose."""

import hmac

from flask import Flask


def derive(app: Flask, purpose: str) -> str:
    """Return a secret of this application for `purpose`, in hexadecimal digits.

    It comes from SECURITY_PASSWORD_SALT, which must outlive a change of SECRET_KEY anyway: without
    it no password is worth anything.
    """
    salt = str(app.config["SECURITY_PASSWORD_SALT"])
    return hmac.new(salt.encode(), purpose.encode(), "sha256").hexdigest()
