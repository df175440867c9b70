"""The forms of accounts: Flask-Security's, with our words on them."""

from typing import Any

from flask_security import ChangePasswordForm as BaseChangePasswordForm
from flask_security import LoginForm as BaseLoginForm
from flask_security import (
    MfRecoveryForm,
    RegisterFormV2,
    TwoFactorRescueForm,
    TwoFactorVerifyCodeForm,
)
from flask_security.change_email import ChangeEmailForm as BaseChangeEmailForm
from flask_security.forms import (
    EmailValidation,
    EqualToLocalize,
    email_required,
    password_required,
    unique_user_email,
)
from wtforms import BooleanField, EmailField, PasswordField, RadioField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from app.forms import Form


class RegisterForm(RegisterFormV2):
    """An address and a password."""

    submit = SubmitField("Sign up")


class LoginForm(BaseLoginForm):
    """An address, a password, and whether this browser stays signed in."""

    remember = BooleanField("Stay signed in on this browser")
    submit = SubmitField("Sign in")


class ChangePasswordForm(BaseChangePasswordForm):
    """The password that is, and twice the one that shall be."""

    password = PasswordField("Your password now")
    new_password = PasswordField("New password", validators=[password_required])
    new_password_confirm = PasswordField(
        "New password again",
        validators=[EqualToLocalize("new_password", message="RETYPE_PASSWORD_MISMATCH")],
    )
    submit = SubmitField("Set the password")


class ChangeEmailForm(BaseChangeEmailForm):
    """The address that shall be."""

    email = EmailField(
        "New address", validators=[email_required, EmailValidation(verify=True), unique_user_email]
    )
    submit = SubmitField("Send the link")


class ConfirmForm(Form):
    """A button and nothing to fill in."""


class CodeForm(Form):
    """A code of an app, to turn the second factor on."""

    code = StringField(
        "Code of the app", validators=[DataRequired("Write the code."), Length(max=20)]
    )


class VerifyCodeForm(TwoFactorVerifyCodeForm):
    """A code of an app, to sign in."""

    code = StringField(
        "Code of the app", validators=[DataRequired("Write the code."), Length(max=20)]
    )

    def validate(self, **kwargs: Any) -> bool:
        """Refuse what can be no code before the library looks at it, as a wrong one."""
        bare = (self.code.data or "").replace(" ", "")
        self.code.data = bare if bare.isascii() else "0"
        return super().validate(**kwargs)


class RecoveryForm(MfRecoveryForm):
    """A recovery code, to sign in."""

    code = StringField(
        "Recovery code", validators=[DataRequired("Write one of the codes."), Length(max=40)]
    )


class NoRescueForm(TwoFactorRescueForm):
    """Nothing to choose from: the library makes this form beside each for a code."""

    help_setup = RadioField(choices=[])
