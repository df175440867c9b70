"""The pages on which people look after their own account."""

import uuid

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_security.utils import logout_user

from app.auth import deletion, history, sessions
from app.auth.forms import ConfirmForm, ProfileForm
from app.auth.fresh import fresh
from app.auth.views import auth_blueprint, me
from app.core.access import members
from app.extensions import db


@auth_blueprint.get("/sessions")
@members
def list_sessions() -> ResponseReturnValue:
    """Show where the user is signed in."""
    return render_template(
        "auth/sessions.html", sessions=sessions.of(me()), current_id=sessions.current_id()
    )


@auth_blueprint.post("/sessions/<uuid:session_id>/end")
@members
def end_session(session_id: uuid.UUID) -> ResponseReturnValue:
    """End one of the user's sessions."""
    if session_id == sessions.current_id():
        logout_user()
        return redirect(url_for("security.login"))
    if not sessions.end(me(), session_id):
        abort(404)
    db.session.commit()
    flash("That session has ended.", "success")
    return redirect(url_for("auth.list_sessions"))


@auth_blueprint.post("/sessions/end-all")
@members
def end_all_sessions() -> ResponseReturnValue:
    """End all of the user's sessions, this one too."""
    sessions.end_all(me())
    logout_user()
    db.session.commit()
    flash("You are signed out everywhere.", "success")
    return redirect(url_for("security.login"))


@auth_blueprint.get("/security-log")
@members
def security_log() -> ResponseReturnValue:
    """Show the last sign-ins and changes of the user's account."""
    return render_template("auth/security_log.html", events=history.of(me()))


@auth_blueprint.route("/profile", methods=["GET", "POST"])
@members
def profile() -> ResponseReturnValue:
    """Show and change the user's name, language of mails and colours."""
    form = ProfileForm(obj=me())
    if form.validate_on_submit():
        me().display_name = form.display_name.data or None
        me().language = form.language.data
        me().theme = form.theme.data
        db.session.commit()
        flash("Your profile is changed.", "success")
        return redirect(url_for("auth.profile"))
    return render_template("auth/profile.html", form=form), 422 if form.errors else 200


@auth_blueprint.route("/delete", methods=["GET", "POST"])
@fresh
def delete_account() -> ResponseReturnValue:
    """Begin to delete the user's account."""
    form = ConfirmForm()
    if form.validate_on_submit():
        last_day = deletion.begin(me())
        logout_user()
        db.session.commit()
        flash(f"Your account will be deleted on {last_day}. Sign in to keep it.", "info")
        return redirect(url_for("security.login"))
    return render_template("auth/delete.html", form=form, last_day=deletion.last_day(me()))


@auth_blueprint.post("/delete/undo")
@members
def keep_account() -> ResponseReturnValue:
    """Keep the account that was to be deleted."""
    deletion.undo(me())
    db.session.commit()
    flash("Your account stays.", "success")
    return redirect(url_for("auth.profile"))
