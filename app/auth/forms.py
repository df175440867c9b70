"""The forms of accounts: Flask-Security's, with our words on them."""

from flask_security import LoginForm as BaseLoginForm
from flask_security import RegisterFormV2
from wtforms import BooleanField, PasswordField, SelectField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length

from app.forms import Form, single_line

THEMES = {"system": "As the device", "light": "Light", "dark": "Dark"}


class RegisterForm(RegisterFormV2):
    """An address and a password."""

    submit = SubmitField("Sign up")


class LoginForm(BaseLoginForm):
    """An address, a password, and whether this browser stays signed in."""

    remember = BooleanField("Stay signed in on this browser")
    submit = SubmitField("Sign in")


class ProfileForm(Form):
    """What people may say about themselves, and how the pages look to them."""

    display_name = StringField(
        "Your name",
        [Length(max=80, message="Use at most 80 characters."), single_line],
        render_kw={"autocomplete": "name"},
    )
    theme = SelectField("Colours", choices=[SelectChoice(*theme) for theme in THEMES.items()])


class DeleteForm(Form):
    """The password, asked again before something that matters."""

    password = PasswordField(
        "Your password",
        [DataRequired("Write your password.")],
        render_kw={"autocomplete": "current-password"},
    )
