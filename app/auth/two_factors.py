"""The rules of two factors: codes of an app (RFC 6238) and recovery codes, each good for once."""

import hmac
import re
from typing import Any

import segno
from flask import current_app, flash, url_for
from flask_security import MfRecoveryCodesUtil, UserMixin
from flask_security import Totp as BaseTotp
from markupsafe import Markup
from passlib.exc import UsedTokenError
from passlib.totp import TotpMatch
from sqlalchemy import delete, func, or_, select, update

from app.auth import history, mails
from app.auth.models import RecoveryCode, User
from app.core.keys import derive
from app.extensions import db

METHOD = "authenticator"
STEP = 30  # seconds: a code is also taken one step early or late
LENGTH = range(6, 11)  # digits of a code; RFC 6238 has 6 to 8


class Totp(BaseTotp):
    """Codes of an app; each can be used once."""

    def generate_qrcode(self, username: str, totp: str) -> str:
        """Return a picture, as a data: address, that an app reads the secret from."""
        picture = segno.make(self.get_totp_uri(username, totp), error="m", micro=False)
        return picture.svg_data_uri(scale=5, light="#fff", dark="#000")

    def get_last_counter(self, user: UserMixin) -> int | None:
        """Return the last step of which `user` used the code."""
        return user.totp_counter if isinstance(user, User) else None

    def set_last_counter(self, user: UserMixin, tmatch: TotpMatch) -> None:
        """Note the step; raises UsedTokenError when another request used its code just now."""
        used = (
            update(User)
            .where(
                User.id == user.id,
                or_(User.totp_counter.is_(None), User.totp_counter < tmatch.counter),
            )
            .values(totp_counter=tmatch.counter)
            .returning(User.id)
        )
        if db.session.scalar(used) is None:
            raise UsedTokenError


class RecoveryCodes(MfRecoveryCodesUtil):
    """Recovery codes, of which only digests are kept: they are shown when they are made."""

    def create_recovery_codes(self, user: UserMixin) -> list[str]:
        """Return new codes; the old ones are worthless."""
        db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
        codes = totp().generate_recovery_codes(
            current_app.config["SECURITY_MULTI_FACTOR_RECOVERY_CODES_N"]
        )
        db.session.add_all(RecoveryCode(user_id=user.id, digest=digest(code)) for code in codes)
        return codes

    def check_recovery_code(self, user: Any, code: str) -> bool:
        """Use `code` up, and tell whether it was there: of two requests, one finds it."""
        found = db.session.scalar(
            delete(RecoveryCode)
            .where(RecoveryCode.user_id == user.id, RecoveryCode.digest == digest(code))
            .returning(RecoveryCode.id)
        )
        if found is None:
            return False
        left = codes_left(user)
        history.record(user, "recovery_code_used")
        mails.tell(user, "auth/mail/recovery_code_used", left=left)
        words = Markup('You have {} recovery codes left. Is the app lost? <a href="{}">{}</a>.')
        page = url_for("auth.two_factor")
        flash(words.format(left, page, "Turn two factors off, and on again with a new one"), "info")
        return True

    def delete_recovery_code(self, user: UserMixin, code: str) -> bool:
        """Do nothing: the check has used the code up."""
        return True


def totp() -> Totp:
    """Return what makes and checks codes in this application."""
    return current_app.extensions["security"].totp_factory


def digest(code: str) -> str:
    """Return what is kept of a recovery code, however it was typed."""
    bare = re.sub(r"[^0-9a-f]", "", code.lower())
    key = derive(current_app, "recovery codes")
    return hmac.new(key.encode(), bare.encode(), "sha256").hexdigest()


def codes_left(user: UserMixin) -> int:
    """Return how many recovery codes `user` has."""
    count = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user.id)
    return db.session.scalar(count) or 0


def is_right(user: User, secret: str, code: str) -> bool:
    """Use `code` up, and tell whether it belongs to `secret` and the present moment."""
    bare = code.replace(" ", "")
    if not (bare.isascii() and bare.isdigit() and len(bare) in LENGTH):
        return False
    return totp().verify_totp(bare, secret, user, window=STEP)


def turn_on(user: User, secret: str) -> list[str]:
    """Ask `user` for a code at each sign-in from now on; return the recovery codes."""
    user.tf_primary_method = METHOD
    user.tf_totp_secret = secret
    mails.tell(user, "auth/mail/two_factors_on")
    history.record(user, "two_factors_changed")
    return new_codes(user)


def turn_off(user: User) -> None:
    """Ask `user` for the password alone; the recovery codes are worthless."""
    user.tf_primary_method = None
    user.tf_totp_secret = None
    user.totp_counter = None  # the codes of the next app have nothing to do with those of this one
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    mails.tell(user, "auth/mail/two_factors_off")
    history.record(user, "two_factors_off")


def renew_codes(user: User) -> list[str]:
    """Return new recovery codes, and tell `user` that the old ones are worthless."""
    mails.tell(user, "auth/mail/recovery_codes_new")
    history.record(user, "recovery_codes_new")
    return new_codes(user)


def new_codes(user: User) -> list[str]:
    """Return new recovery codes of `user`; the old ones are worthless."""
    return current_app.extensions["security"].mf_recovery_codes_util.create_recovery_codes(user)
