"""The forms of accounts: Flask-Security's, with our words on them."""

from typing import Any

from flask import after_this_request
from flask_login import current_user
from flask_security import ChangePasswordForm as BaseChangePasswordForm
from flask_security import ForgotPasswordForm as BaseForgotPasswordForm
from flask_security import LoginForm as BaseLoginForm
from flask_security import (
    MfRecoveryForm,
    RegisterFormV2,
    TwoFactorRescueForm,
    TwoFactorVerifyCodeForm,
    hash_password,
)
from flask_security import SendConfirmationForm as BaseSendConfirmationForm
from flask_security import VerifyForm as BaseVerifyForm
from flask_security.change_email import ChangeEmailForm as BaseChangeEmailForm
from flask_security.forms import (
    EmailValidation,
    EqualToLocalize,
    email_required,
    password_required,
    unique_user_email,
)
from flask_security.utils import get_message
from wtforms import (
    BooleanField,
    EmailField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    SubmitField,
)
from wtforms.fields.choices import SelectChoice  # pyright: ignore[reportAttributeAccessIssue]
from wtforms.validators import DataRequired, Length

from app.auth import events, services, tasks
from app.auth.languages import LANGUAGES
from app.auth.settings import MESSAGES
from app.forms import Form, single_line

THEMES = {"system": "As the device", "light": "Light", "dark": "Dark"}


class RegisterForm(RegisterFormV2):
    """An address and a password."""

    submit = SubmitField("Sign up")

    def validate(self, **kwargs: Any) -> bool:
        """Accept an address whose account nobody has confirmed: the account begins anew."""
        valid = super().validate(**kwargs)
        user: Any = self.existing_email_user
        if self.password.errors or not (valid or user):
            return valid
        twice = services.is_sent_twice(user, self.password.data or "")
        if user is None or user.confirmed_at is not None or twice:
            return valid
        self.email.errors = []
        return not self.errors


class LoginForm(BaseLoginForm):
    """An address, a password, and whether this browser stays signed in."""

    remember = BooleanField("Stay signed in on this browser")
    submit = SubmitField("Sign in")

    def validate(self, **kwargs: Any) -> bool:
        """Log why an address that is well-formed was not let in; the visitor is not told."""
        if super().validate(**kwargs):
            return True
        user: Any = self.user
        if user is None:
            if self.ifield is not None:  # otherwise nobody was looked for
                events.unknown_address()
        elif self.user_authenticated and not user.is_active:
            events.deactivated(user)
        elif self.user_authenticated and self.requires_confirmation:
            events.not_confirmed(user)
        return False


class AsksForLink:
    """Takes an address for a link by mail, and does not tell whether anybody gets one.

    The library's views wipe all errors of the field, lest they tell who has an account. What is
    wrong with an address that can be nobody's tells nothing, so it waits among the errors of the
    form until the page is made. For an address that gets no mail a job is written all the same:
    without one the answer would come earlier.
    """

    form_errors: Any
    email: Any
    user: Any
    is_malformed = False

    def validate(self, **kwargs: Any) -> bool:
        """Keep the errors of the field, unless it is that nobody has the address."""
        valid: bool = super().validate(**kwargs)  # type: ignore[misc]
        unknown = get_message("USER_DOES_NOT_EXIST")[0]
        if self.user is None and self.email.errors and unknown not in self.email.errors:
            self.is_malformed = True
            self.form_errors.extend(self.email.errors)
        elif not valid:
            tasks.mail_nobody.delay_on_commit()
            after_this_request(services.commit)
        return valid

    def put_errors_back(self) -> None:
        """Move what was kept to the field it is about."""
        if self.is_malformed:
            self.email.errors, self.form_errors[:] = [*self.form_errors], []


class UnconfirmedToo(BaseForgotPasswordForm):
    """Takes an address that nobody has confirmed: a new password by mail does that as well."""

    def validate(self, **kwargs: Any) -> bool:
        """Forgive that the address is not confirmed, and nothing else."""
        if super().validate(**kwargs):
            return True
        if self.requires_confirmation:
            self.email.errors = []
        return self.requires_confirmation


class ForgotPasswordForm(AsksForLink, UnconfirmedToo):
    """The address of somebody who has forgotten the password."""

    def validate(self, **kwargs: Any) -> bool:
        """Take as long for an address that gets a mail: for others the library hashes this too."""
        valid = super().validate(**kwargs)
        if valid:
            hash_password("not-a-password")
        return valid


class SendConfirmationForm(AsksForLink, BaseSendConfirmationForm):
    """The address of somebody who has no link to confirm it."""


class ChangePasswordForm(BaseChangePasswordForm):
    """The password that is, and twice the one that shall be."""

    password = PasswordField("Your password now")
    new_password = PasswordField("New password", validators=[password_required])
    new_password_confirm = PasswordField(
        "New password again",
        validators=[EqualToLocalize("new_password", message="RETYPE_PASSWORD_MISMATCH")],
    )
    submit = SubmitField("Set the password")

    def validate(self, **kwargs: Any) -> bool:
        """Count a wrong password as at a sign-in, and believe none while none is believed there.

        Whoever has none is asked for none, and cannot guess.
        """
        has_one = current_user.password is not None
        if has_one and is_refused_for_now(current_user, self.password, "MSG_INVALID_PASSWORD"):
            return False
        valid = super().validate(**kwargs)
        if MESSAGES["MSG_INVALID_PASSWORD"][0] in self.password.errors:
            current_user.track_failed_authn("password")
        return valid


class VerifyForm(BaseVerifyForm):
    """The password again, before a sensitive step."""

    def validate(self, **kwargs: Any) -> bool:
        """Refuse the right password too during a wait, as a sign-in does.

        Asked when the password was compared: others may have guessed meanwhile.
        """
        return super().validate(**kwargs) and not is_refused_for_now(
            self.user, self.password, "MSG_INVALID_PASSWORD"
        )


class ChangeEmailForm(BaseChangeEmailForm):
    """The address that shall be."""

    email = EmailField(
        "New address", validators=[email_required, EmailValidation(verify=True), unique_user_email]
    )
    submit = SubmitField("Send the link")

    def validate(self, extra_validators: Any = None) -> bool:
        """Accept an address of which somebody only began an account: the link shows whose it is.

        One that is taken gets no mail, but a job like that of a mail, so that the answer does not
        come earlier.
        """
        valid = super().validate(extra_validators)
        other: Any = self.existing_email_user
        if other is None:
            return valid
        if other.confirmed_at is None:
            self.existing_email_user = None
            self.email.errors = []
            return not self.errors
        tasks.mail_nobody.delay_on_commit()
        after_this_request(services.commit)
        return valid


def is_refused_for_now(user: Any, field: Any, message: str) -> bool:
    """Tell whether `user` has to wait; `field` then says what it says of a wrong value."""
    if not user.is_locked():
        return False
    field.errors = [MESSAGES[message][0]]
    return True


def are_off_by_now(user: Any, field: Any) -> bool:
    """Tell whether `user` turned two factors off since the first; `field` then says what to do."""
    if user.has_two_factors:
        return False
    field.errors = ["Two factors were turned off meanwhile. Sign in once more."]
    return True


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
        """Refuse during a wait without a look, and what can be no code as a wrong one."""
        if is_refused_for_now(self.user, self.code, "MSG_TWO_FACTOR_INVALID_TOKEN"):
            return False
        if are_off_by_now(self.user, self.code):
            return False
        bare = (self.code.data or "").replace(" ", "")
        self.code.data = bare if bare.isascii() else "0"
        return super().validate(**kwargs)


class RecoveryForm(MfRecoveryForm):
    """A recovery code, to sign in."""

    code = StringField(
        "Recovery code", validators=[DataRequired("Write one of the codes."), Length(max=40)]
    )

    def validate(self, **kwargs: Any) -> bool:
        """Count a wrong code as a wrong password; during a wait, look at none and use none up."""
        user: Any = self.user
        if is_refused_for_now(user, self.code, "MSG_INVALID_RECOVERY_CODE"):
            return False
        if are_off_by_now(user, self.code):
            return False
        valid = super().validate(**kwargs)
        if MESSAGES["MSG_INVALID_RECOVERY_CODE"][0] in self.code.errors:
            user.track_failed_authn("recovery code", True)
        return valid


class NoRescueForm(TwoFactorRescueForm):
    """Nothing to choose from: the library makes this form beside each for a code."""

    help_setup = RadioField(choices=[])


class ProfileForm(Form):
    """What people may say about themselves, and how mails and pages are to be for them."""

    display_name = StringField(
        "Your name",
        [Length(max=80, message="Use at most 80 characters."), single_line],
        render_kw={"autocomplete": "name"},
    )
    language = SelectField(
        "Language of mails", choices=[SelectChoice(*language) for language in LANGUAGES.items()]
    )
    theme = SelectField("Colours", choices=[SelectChoice(*theme) for theme in THEMES.items()])
