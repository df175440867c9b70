"""The rules of passkeys: any device that checks its owner, and answers good for one browser."""

from typing import Any

from flask import session
from flask_security import (
    UserMixin,
    WebAuthnRegisterForm,
    WebAuthnRegisterResponseForm,
    WebAuthnSigninResponseForm,
)
from flask_security import WebauthnUtil as BaseWebauthnUtil
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from wtforms import RadioField, StringField
from wtforms.validators import DataRequired, Length

from app.auth.settings import MESSAGES

CHALLENGE = "passkey_challenge"  # in the session, until it is answered


class WebauthnUtil(BaseWebauthnUtil):
    """What we ask of a device: to know its user, and to check who holds it."""

    def generate_challenge(self, nbytes: int | None = None) -> str:
        """Return a new challenge, which only this browser can answer, once."""
        challenge = super().generate_challenge(nbytes)
        session[CHALLENGE] = challenge
        return challenge

    def authenticator_selection(
        self, user: UserMixin, usage: str
    ) -> AuthenticatorSelectionCriteria:
        """Return what a device must do; it may be part of the computer, a phone, or a key."""
        return AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        )

    def user_verification(
        self, user: UserMixin | None, usage: list[str]
    ) -> UserVerificationRequirement:
        """Return that the device must check who holds it, so that it is two factors in one."""
        return UserVerificationRequirement.REQUIRED


class PasskeyForm(WebAuthnRegisterForm):
    """The name of a new passkey."""

    name = StringField(
        "Name of the passkey",
        validators=[DataRequired("Give the passkey a name."), Length(max=64)],
    )
    usage = RadioField(choices=[], validate_choice=False)

    def validate(self, **kwargs: Any) -> bool:
        """Make every passkey one that signs in by itself, whatever was sent."""
        self.usage.data = "first"
        return super().validate(**kwargs)


class NewPasskeyForm(WebAuthnRegisterResponseForm):
    """What a device answered when it made a passkey."""

    def validate(self, **kwargs: Any) -> bool:
        """Refuse an answer to a challenge of another browser, and what cannot be read."""
        if not is_answered_here(self):
            return False
        try:
            valid = super().validate(**kwargs)
        except (WebAuthnException, ValueError, TypeError, AttributeError):
            return refuse(self)
        self.extensions = ""  # nothing here needs them
        return valid


class PasskeyAnswerForm(WebAuthnSigninResponseForm):
    """What a device answered to sign in, or to confirm who is there."""

    def validate(self, **kwargs: Any) -> bool:
        """Refuse an answer to a challenge of another browser, and what cannot be read."""
        # The library's form passes the choice on as a word, and takes any word for yes.
        if self.remember.data == "False":
            self.remember.data = ""
        if not is_answered_here(self):
            return False
        try:
            valid = super().validate(**kwargs)
        except (WebAuthnException, ValueError, TypeError, AttributeError):
            return refuse(self)
        # The library notes that an account is closed, and goes on.
        return valid and not self.credential.errors


def is_answered_here(form: NewPasskeyForm | PasskeyAnswerForm) -> bool:
    """Tell whether the challenge of `form` was this browser's last; it is used up."""
    return session.pop(CHALLENGE, None) == form.challenge or refuse(form)


def refuse(form: NewPasskeyForm | PasskeyAnswerForm) -> bool:
    """Say in `form` that the passkey is no good; return False."""
    form.credential.errors = [MESSAGES["MSG_WEBAUTHN_NO_VERIFY"][0]]
    return False
