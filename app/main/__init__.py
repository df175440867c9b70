"""The public pages, the home of those who have signed in, and the contact form."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint and the menu entry."""
    from app.core import menu, security
    from app.main.views import main_blueprint

    app.register_blueprint(main_blueprint)
    security.limit_rate(app, "main.contact", "5 per minute; 20 per hour")
    menu.add(app, menu.Entry("Contact", "main.contact"))
