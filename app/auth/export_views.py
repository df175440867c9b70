"""The pages on which people take their data away."""

import uuid

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import exports, mails, tasks
from app.auth.fresh import fresh
from app.auth.views import auth_blueprint, me
from app.extensions import db


@auth_blueprint.route("/export", methods=["GET", "POST"], endpoint="exports")
@fresh
def order_export() -> ResponseReturnValue:
    """Show the exports of the user, and order one."""
    if request.method == "POST":
        export = exports.order(me())
        link = url_for("auth.fetch_export", export_id=export.id, _external=True)
        asked = mails.circumstances(me().language)
        tasks.make_export.apply_async_on_commit(
            (str(export.id), link, asked), dedupe_key=export.job_key, owner=me().id
        )
        db.session.commit()
        flash("Your data is being packed. A mail with a link comes when it is ready.", "success")
        return redirect(url_for("auth.exports"))
    return render_template("auth/exports.html", exports=exports.of(me()))


@auth_blueprint.get("/export/<uuid:export_id>")
@fresh
def fetch_export(export_id: uuid.UUID) -> ResponseReturnValue:
    """Hand an export to its owner; nobody else learns that there is one."""
    content = exports.content_of(me(), export_id)
    if content is None:
        abort(404, "There is nothing to fetch here any more. You can ask for a new export.")
    response = make_response(content)
    response.headers["Content-Type"] = "application/zip"
    response.headers["Content-Disposition"] = 'attachment; filename="export.zip"'
    return response
