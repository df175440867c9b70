"""Sessions: each sign-in is a row, which its cookie names; without the row the cookie is nothing.

The library's cookie names the user. Here it names the row, so that one session can end and the
others go on. The row keeps the user's `fs_uniquifier`: a new value there still ends them all.
"""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import flask_login
import flask_security
from flask import Flask, Response, after_this_request, current_app, g, request, session
from flask_login import current_user
from flask_security.utils import set_request_attr
from sqlalchemy import ForeignKey, String, Uuid, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.auth import devices, services
from app.auth.models import User
from app.core.access import View
from app.extensions import db
from app.models import Base, UTCDateTime, utcnow

logger = logging.getLogger(__name__)

SEEN_EVERY = timedelta(minutes=1)  # how exactly `last_seen_at` is kept


class BrowserSession(Base):
    """A sign-in that has not ended: where, and when it was used last."""

    __tablename__ = "browser_sessions"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    uniquifier: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(80))
    address: Mapped[str | None] = mapped_column(String(45))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, index=True)


# Each request of whoever signed in asks this; to build it anew took a seventh of a page's time.
WHO = (
    select(User, BrowserSession)
    .join(BrowserSession, BrowserSession.user_id == User.id)
    .where(
        BrowserSession.id == bindparam("session_id"),
        BrowserSession.uniquifier == User.fs_uniquifier,
        BrowserSession.last_seen_at > bindparam("oldest"),
        User.active.is_(True),
    )
)


def init_app(app: Flask) -> None:
    """Let the cookies of `app` name rows."""
    app.login_manager.user_loader(load)  # type: ignore[attr-defined]
    flask_security.user_authenticated.connect(on_sign_in, app)
    flask_login.user_logged_out.connect(on_sign_out, app)
    app.before_request_funcs.setdefault("security", []).append(look_up)


def look_up() -> None:
    """Find out who is there before a view of the library writes.

    Some of them ask only then. Noting that the session is in use would wait for their lock, which
    is that of the whole database on SQLite, and they for it.
    """
    current_user._get_current_object()


def load(key: str) -> User | None:
    """Return the user whose session the cookie names, None when it has ended."""
    try:
        session_id = uuid.UUID(key)
    except ValueError:
        return None
    values = {"session_id": session_id, "oldest": utcnow() - lifetime()}
    found = db.session.execute(WHO, values).one_or_none()
    if found is None:
        return None
    user, row = found
    g.browser_session_id = row.id
    if utcnow() - row.last_seen_at > SEEN_EVERY:
        _see(row.id)
    # What the library's own loader notes: its checks of how fresh a sign-in is stand on it.
    set_request_attr("fs_authn_via", "session")
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    return user


def _see(session_id: uuid.UUID) -> None:
    """Note that the session is in use, apart from whatever the request does or fails to do."""
    with Session(db.engine) as own:
        row = update(BrowserSession).where(BrowserSession.id == session_id)
        own.execute(row.values(last_seen_at=utcnow(), address=request.remote_addr))
        own.commit()


def lifetime() -> timedelta:
    """Return how long a session lives without being used: as long as a browser remembers it."""
    return current_app.config["REMEMBER_COOKIE_DURATION"]


def on_sign_in(_: Flask, user: User, **__: Any) -> None:
    """Begin a session under a new name, whatever name the browser came with."""
    if "browser_session_id" in g:
        _delete(g.browser_session_id)
    row = BrowserSession(
        id=uuid.uuid4(),
        user_id=user.id,
        uniquifier=user.fs_uniquifier,
        device=devices.describe(request.user_agent.string),
        address=request.remote_addr,
    )
    db.session.add(row)
    session["_user_id"] = str(row.id)
    g.browser_session_id = row.id
    # A form that was made before the sign-in, perhaps by somebody else, must not work after it.
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)
    after_this_request(services.commit)


def renewed(view: View) -> View:
    """Let the session go on under a new name when `view` was shown again who is there.

    A copy of the cookie from before must not come by what the session may do from now on.
    """

    @wraps(view)
    def answer(**arguments: Any) -> Any:
        proved_at = session.get("fs_paa")
        response = view(**arguments)
        if session.get("fs_paa") != proved_at:
            _rename()
        return response

    return answer


def _rename() -> None:
    name = uuid.uuid4()
    old = update(BrowserSession).where(BrowserSession.id == g.browser_session_id)
    db.session.execute(old.values(id=name))
    session["_user_id"] = str(name)
    g.browser_session_id = name
    if remember_cookie() in request.cookies:
        session["_remember"] = "set"  # for the library, which then sends this cookie anew as well


def on_sign_out(_: Flask, **__: Any) -> None:
    """End the session, so that a copy of its cookie is worth nothing."""
    if "browser_session_id" in g:
        _delete(g.pop("browser_session_id"))
        after_this_request(services.commit)
    after_this_request(forget_browser)


def remember_cookie() -> str:
    """Return the name of the cookie of “Stay signed in”."""
    return current_app.config.get("REMEMBER_COOKIE_NAME", flask_login.COOKIE_NAME)


def forget_browser(response: Response) -> Response:
    """Take the cookie of “Stay signed in” away.

    The library does so without Secure, which browsers ignore where the name begins with `__Host-`.
    """
    if (name := remember_cookie()) in request.cookies:
        secure = current_app.config["SESSION_COOKIE_SECURE"]
        response.delete_cookie(name, secure=secure, httponly=True, samesite="Lax")
    return response


def _delete(session_id: uuid.UUID) -> None:
    db.session.execute(delete(BrowserSession).where(BrowserSession.id == session_id))


def current_id() -> uuid.UUID | None:
    """Return which session this request belongs to."""
    return g.get("browser_session_id")


def of(user: User) -> Sequence[BrowserSession]:
    """Return the sessions of `user` that have not ended, last used first."""
    query = select(BrowserSession).where(
        BrowserSession.user_id == user.id,
        BrowserSession.uniquifier == user.fs_uniquifier,
        BrowserSession.last_seen_at > utcnow() - lifetime(),
    )
    return db.session.scalars(query.order_by(BrowserSession.last_seen_at.desc())).all()


def end(user: User, session_id: uuid.UUID) -> bool:
    """End one session of `user`; tell whether there was such a one."""
    own = (BrowserSession.id == session_id) & (BrowserSession.user_id == user.id)
    ended = db.session.scalars(delete(BrowserSession).where(own).returning(BrowserSession.id)).all()
    return bool(ended)


def end_others(user: User) -> None:
    """End every session of `user` but this one; a sign-in that is under way elsewhere ends too."""
    user.fs_uniquifier = uuid.uuid4().hex
    own = update(BrowserSession).where(BrowserSession.id == current_id())
    db.session.execute(own.values(uniquifier=user.fs_uniquifier))


def end_all(user: User) -> None:
    """End every session of `user`; what else names the user by its identifier ends with them."""
    db.session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
    user.fs_uniquifier = uuid.uuid4().hex
    logger.info("All sessions of user %s ended", user.id)


def forget_old() -> int:
    """Delete sessions that nobody can use any more, and return how many there were."""
    unused = BrowserSession.last_seen_at < utcnow() - lifetime()
    stale = ~select(User.id).where(User.fs_uniquifier == BrowserSession.uniquifier).exists()
    query = delete(BrowserSession).where(unused | stale).returning(BrowserSession.id)
    query = query.execution_options(synchronize_session=False)
    return len(db.session.scalars(query).all())
