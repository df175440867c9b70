"""The home page."""

from flask import Blueprint, current_app, render_template

main_blueprint = Blueprint("main", __name__)


@main_blueprint.route("/")
def home() -> str:
    """Greet a visitor, with a line in the log."""
    current_app.logger.info("Index page loading")
    return render_template("main/home.html")
