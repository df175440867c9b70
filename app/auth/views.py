"""Pages of accounts beside those of Flask-Security."""

from typing import cast

from flask import Blueprint, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_security import anonymous_user_required

from app.auth import addresses, events, sessions, two_factors
from app.auth.forms import CodeForm, ConfirmForm, RegisterForm
from app.auth.fresh import fresh
from app.auth.models import User
from app.auth.settings import MESSAGES
from app.core.access import everyone, members
from app.extensions import db

auth_blueprint = Blueprint("auth", __name__, url_prefix="/users", template_folder="templates")
PENDING = "two_factor_pending"  # in the session: whose secret, and the secret, encrypted


@auth_blueprint.get("/register/<email>")
@everyone
@anonymous_user_required
def greet(email: str) -> ResponseReturnValue:
    """Greet an address and fill the form with it; only the form, by POST, makes an account."""
    form = RegisterForm(formdata=None, data={"email": email[:254]})
    return render_template("auth/register.html", register_user_form=form, greeted=email)


@auth_blueprint.get("/")
@members
def account() -> ResponseReturnValue:
    """Show what one can change in one's account."""
    return render_template("auth/account.html")


@auth_blueprint.route("/change-email/undo/<token>", methods=["GET", "POST"])
@everyone
def undo_address(token: str) -> ResponseReturnValue:
    """Ask whether an old address shall be taken back; do so by POST, once."""
    change = addresses.find_change(token)
    if change is None:
        return render_template("auth/undo_address.html", form=None), 410
    form = ConfirmForm()
    if not form.validate_on_submit():
        return render_template("auth/undo_address.html", form=form)
    user = addresses.undo(change)
    if user is None:
        db.session.rollback()
        return render_template("auth/undo_address.html", form=None), 410
    db.session.commit()
    events.address_taken_back(user)
    flash("Your address is yours again. Ask for a link to set a new password now.", "success")
    return redirect(url_for("security.forgot_password"))


@auth_blueprint.route("/two-factor", methods=["GET", "POST"])
@fresh
def two_factor() -> ResponseReturnValue:
    """Show the state of the second factor; turn it on when the app's first code is right."""
    user = me()
    if user.has_two_factors:
        left = two_factors.codes_left(user)
        return render_template("auth/two_factor.html", form=ConfirmForm(), left=left)
    secret = pending_secret(user)
    form, status = CodeForm(), 200
    if form.validate_on_submit():
        if two_factors.is_right(user, secret, form.code.data or ""):
            codes = two_factors.turn_on(user, secret)
            sessions.end_others(user)
            db.session.commit()
            del session[PENDING]
            events.two_factors_changed(user, "turned two factors on")
            flash("All other browsers are signed out.", "info")
            return render_template("auth/recovery_codes.html", codes=codes)
        form.code.errors = [MESSAGES["MSG_TWO_FACTOR_INVALID_TOKEN"][0]]
    if form.errors:
        status = 422
    setup = two_factors.totp().fetch_setup_values(secret, user)
    return render_template("auth/two_factor_on.html", form=form, setup=setup), status


@auth_blueprint.post("/two-factor/codes")
@fresh
def new_recovery_codes() -> ResponseReturnValue:
    """Show new recovery codes, once; the old ones are worthless."""
    user = me()
    if not user.has_two_factors:
        return redirect(url_for("auth.two_factor"))
    codes = two_factors.renew_codes(user)
    db.session.commit()
    events.two_factors_changed(user, "made new recovery codes")
    return render_template("auth/recovery_codes.html", codes=codes)


@auth_blueprint.post("/two-factor/off")
@fresh
def two_factor_off() -> ResponseReturnValue:
    """Turn the second factor off."""
    user = me()
    if user.has_two_factors:
        two_factors.turn_off(user)
        sessions.end_others(user)
        db.session.commit()
        events.two_factors_changed(user, "turned two factors off")
        flash(
            "From now on the password alone signs you in. All other browsers are signed out.",
            "success",
        )
    return redirect(url_for("auth.two_factor"))


def pending_secret(user: User) -> str:
    """Return the secret that `user` gets with the first right code; one may mistype or look again.

    It is not that of somebody else who was signed in at this browser before, and may have kept it.
    """
    owner, secret = session.get(PENDING, ("", ""))
    if owner != user.get_id():
        secret = two_factors.totp().generate_totp_secret()
        session[PENDING] = (user.get_id(), secret)
    return secret


def me() -> User:
    """Return the user who has signed in."""
    return cast(User, current_user._get_current_object())
