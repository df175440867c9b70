"""The forms of accounts: Flask-Security's, with our words on them."""

from flask_security import LoginForm as BaseLoginForm
from flask_security import RegisterFormV2
from wtforms import BooleanField, SubmitField


class RegisterForm(RegisterFormV2):
    """An address and a password."""

    submit = SubmitField("Sign up")


class LoginForm(BaseLoginForm):
    """An address, a password, and whether this browser stays signed in."""

    remember = BooleanField("Stay signed in on this browser")
    submit = SubmitField("Sign in")
