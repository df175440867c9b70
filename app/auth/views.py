"""Pages of accounts beside those of Flask-Security."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from flask_security import anonymous_user_required

from app.auth.forms import RegisterForm
from app.core.access import everyone

auth_blueprint = Blueprint("auth", __name__, url_prefix="/users", template_folder="templates")


@auth_blueprint.get("/register/<email>")
@everyone
@anonymous_user_required
def greet(email: str) -> ResponseReturnValue:
    """Greet an address and fill the form with it; only the form, by POST, makes an account."""
    form = RegisterForm(formdata=None, data={"email": email[:254]})
    return render_template("auth/register.html", register_user_form=form, greeted=email)
