"""Development only: every mail the application sent, at `/dev/mailbox`."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint where the configuration has a mailbox, which only development has."""
    if app.config["MAILBOX_PATH"] is None:
        return
    from app.core import menu
    from app.mailbox.views import mailbox_blueprint

    app.register_blueprint(mailbox_blueprint)
    menu.add(app, menu.Entry("Mailbox", "mailbox.index"))
