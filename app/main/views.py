"""The home page and the contact form."""

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.core.access import everyone
from app.extensions import db
from app.main.forms import ContactForm
from app.tasks import send_email

main_blueprint = Blueprint("main", __name__, template_folder="templates")


@main_blueprint.get("/")
@everyone
def home() -> ResponseReturnValue:
    """Greet a visitor; a page of their own for those who have signed in."""
    current_app.logger.info("Index page loading")
    return render_template("main/home.html")


@main_blueprint.route("/contact", methods=["GET", "POST"])
@everyone
def contact() -> ResponseReturnValue:
    """Mail what a visitor writes to `ADMINS`; the answer goes to the visitor's address."""
    form = ContactForm()
    if form.validate_on_submit():
        if not current_app.config["ADMINS"]:
            current_app.logger.warning(
                "A message was refused: ADMINS is empty, nobody would get it"
            )
            return render_template("main/contact.html", form=form), 503
        letter = {"name": form.name.data, "email": form.email.data, "message": form.message.data}
        for admin in current_app.config["ADMINS"]:
            send_email.delay_on_commit(admin, "main/mail/contact", letter, reply_to=form.email.data)
        db.session.commit()
        flash("Thank you, your message is on its way.", "success")
        return redirect(url_for("main.home"))
    return render_template("main/contact.html", form=form), 422 if form.errors else 200
