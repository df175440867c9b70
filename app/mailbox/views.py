"""The mailbox's pages."""

from pathlib import Path

from flask import Blueprint, abort, current_app, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.core.access import everyone
from app.mailbox import services

# A mail brings styles of its own and must not run or load anything.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-top-navigation-by-user-activation"
)

mailbox_blueprint = Blueprint("mailbox", __name__, url_prefix="/dev", template_folder="templates")


@mailbox_blueprint.get("/mailbox")
@everyone
def index() -> ResponseReturnValue:
    """List the mails, newest first."""
    return render_template("mailbox/index.html", mails=services.newest(_path()))


@mailbox_blueprint.get("/mailbox.json")
@everyone
def index_json() -> ResponseReturnValue:
    """List the mails as JSON, with the links in each."""
    return [mail.as_json() for mail in services.newest(_path())]


@mailbox_blueprint.get("/mailbox/<key>")
@everyone
def show(key: str) -> ResponseReturnValue:
    """Show one mail, its text and its HTML."""
    return render_template("mailbox/show.html", mail=_find(key))


@mailbox_blueprint.get("/mailbox/<key>/html")
@everyone
def show_html(key: str) -> ResponseReturnValue:
    """Send the HTML part alone, for the frame that shows it; its links leave the frame."""
    html = _find(key).html.replace("<head>", '<head><base target="_top">', 1)
    response = make_response(html)
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    return response


@mailbox_blueprint.post("/mailbox/empty")
@everyone
def empty() -> ResponseReturnValue:
    """Delete every mail."""
    services.empty(_path())
    return redirect(url_for("mailbox.index"))


def _path() -> Path:
    return current_app.config["MAILBOX_PATH"]


def _find(key: str) -> services.Mail:
    return services.find(_path(), key) or abort(404, "This mail is not in the mailbox any more.")
