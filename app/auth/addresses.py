"""The rules of changed addresses: who is told, and who can take an old one back.

An address opens the account, since a new password goes there. Whoever loses it must be able to get
it back, also when it was changed several times: taking back an old address takes back all changes
since, so that their links are worth nothing.
"""

from datetime import timedelta
from functools import wraps
from typing import Any

import flask_security
from flask import Flask, abort, current_app, flash, redirect, request, session, url_for
from flask_login import current_user
from flask_security import login_user
from flask_security.utils import check_and_get_token_status
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from app.auth import events, history, mails, services, sessions, two_factors
from app.auth.models import AddressChange, Passkey, User
from app.auth.settings import MESSAGES
from app.core.access import View
from app.extensions import db
from app.models import utcnow

UNDO_WITHIN = timedelta(days=7)


def init_app(app: Flask) -> None:
    """Follow the changes that the library makes in `app`."""
    flask_security.change_email_confirmed.connect(changed, app)


def guard(view: View) -> View:
    """Let only those who asked for a link of `view` use it, for whom it may end a mere sign-up.

    A new address may be mistyped, and then somebody else reads its mails, or a program opens their
    links: neither must get the account. Where `view` refuses the link, nothing is committed.
    """

    @wraps(view)
    def answer(token: str) -> Any:
        within = current_app.config["SECURITY_CHANGE_EMAIL_WITHIN"]
        _, _, said = check_and_get_token_status(token, "change_email", within)
        if said and is_of_somebody_else(said[0]):
            flash("Sign in to the account that gets this address, and open the link again.", "info")
            return redirect(url_for("security.login"))
        if said:
            services.remove((User.email == said[-1]) & User.confirmed_at.is_(None))
        return view(token=token)

    return answer


def is_of_somebody_else(uniquifier: str) -> bool:
    """Tell whether there is such a user, who has not signed in here."""
    user_id = db.session.scalar(select(User.id).where(User.fs_uniquifier == uniquifier))
    return user_id is not None and user_id != getattr(current_user, "id", None)


def changed(_: Flask, user: User, old_email: str, **__: Any) -> None:
    """Note the old address, tell both, and end what was opened with the old one."""
    change = AddressChange(user_id=user.id, old_email=old_email)
    db.session.add(change)
    try:
        db.session.flush()
    except IntegrityError:
        # Another account took the address at this very moment: the same answer as a little earlier.
        db.session.rollback()
        flash(*MESSAGES["MSG_API_ERROR"])
        abort(redirect(url_for("security.change_email")))
    end_sessions(user)
    stay_signed_in(user)
    link = url_for("auth.undo_address", token=links().dumps(change.id), _external=True)
    mails.tell(user, "auth/mail/address_left", to=old_email, undo_link=link)
    mails.tell(user, "auth/mail/address_new")
    events.address_changed(user)


def end_sessions(user: User) -> None:
    """End all sessions of `user`, and make the links worthless that were mailed before."""
    current_app.extensions["security"].datastore.set_uniquifier(user)


def stay_signed_in(user: User) -> None:
    """Keep this browser signed in; the moment of its last password stays what it is."""
    proved_at = session.get("fs_paa")
    remember = sessions.remember_cookie() in request.cookies
    login_user(user, remember=remember, authn_via=history.NO_SIGN_IN)
    session["fs_paa"] = proved_at


def links() -> URLSafeTimedSerializer:
    """Return what signs the links that take an address back; they hold no address."""
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="undo-address")


def find_change(token: str) -> AddressChange | None:
    """Return the change that the link with `token` takes back, if it still can."""
    try:
        change_id = links().loads(token, max_age=int(UNDO_WITHIN.total_seconds()))
    except BadSignature:
        return None
    change = db.session.get(AddressChange, change_id)
    return change if change and change.undone_at is None else None


def undo(change: AddressChange) -> User | None:
    """Give the user of `change` the old address again; return None where that cannot be.

    Another account may have the address, or another request may have taken it back just now.
    Nobody stays signed in; the password is gone, somebody else may know it, and so are the passkeys
    added since, and the second factor if it was set up since.
    """
    since = (AddressChange.user_id == change.user_id) & (AddressChange.id >= change.id)
    open_ones = update(AddressChange).where(since, AddressChange.undone_at.is_(None))
    taken = db.session.scalars(
        open_ones.values(undone_at=utcnow()).returning(AddressChange.id)
    ).all()
    if change.id not in taken:
        return None
    # Anybody can start an account for a free address; only a confirmed one shows whose it is.
    services.remove((User.email == change.old_email) & User.confirmed_at.is_(None))
    user = db.session.get_one(User, change.user_id)
    lost = user.email
    user.email = change.old_email
    try:
        db.session.flush()
    except IntegrityError:  # another account has it
        return None
    user.password = None
    end_sessions(user)
    db.session.execute(
        delete(Passkey).where(Passkey.user_id == user.id, Passkey.created_at >= change.changed_at)
    )
    set_up_since = history.happened(user, "two_factors_changed", since=change.changed_at)
    if user.has_two_factors and set_up_since:
        two_factors.turn_off(user)
    mails.tell(user, "auth/mail/address_back")
    mails.tell(user, "auth/mail/address_back", to=lost)
    history.record(user, "email_changed")
    return user


def forget_old() -> int:
    """Delete the old addresses that nobody can take back any more; return how many there were."""
    old = delete(AddressChange).where(AddressChange.changed_at < utcnow() - UNDO_WITHIN)
    return len(db.session.scalars(old.returning(AddressChange.id)).all())
