"""The forms of accounts: Flask-Security's, with our words on them."""

from typing import Any

from flask_security import LoginForm as BaseLoginForm
from flask_security import RegisterFormV2
from wtforms import BooleanField, SubmitField

from app.auth import services


class RegisterForm(RegisterFormV2):
    """An address and a password."""

    submit = SubmitField("Sign up")

    def validate(self, **kwargs: Any) -> bool:
        """Accept an address whose account nobody has confirmed: the account begins anew."""
        valid = super().validate(**kwargs)
        user: Any = self.existing_email_user
        if user is None or user.confirmed_at is not None or self.password.errors:
            return valid
        if services.is_sent_twice(user, self.password.data or ""):
            return valid
        self.email.errors = []
        return not self.errors


class LoginForm(BaseLoginForm):
    """An address, a password, and whether this browser stays signed in."""

    remember = BooleanField("Stay signed in on this browser")
    submit = SubmitField("Sign in")
