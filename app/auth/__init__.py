"""Accounts: registration, confirmation, sign-in and forgotten passwords, under `/users`."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint, Flask-Security beside it, and the menu entries."""
    from app.auth import addresses, events, notices, security, views
    from app.auth import tasks as _tasks  # noqa: F401 - tasks register themselves
    from app.core import menu
    from app.core.security import limit_rate

    app.register_blueprint(views.auth_blueprint)
    security.init_app(app)
    events.init_app(app)
    addresses.init_app(app)
    notices.init_app(app)
    for endpoint in ("undo_address", "two_factor", "new_recovery_codes", "two_factor_off"):
        limit_rate(app, f"auth.{endpoint}", "10 per minute")
    menu.add(app, menu.Entry("Sign in", "security.login", "visitors"))
    menu.add(app, menu.Entry("Sign up", "security.register", "visitors"))
    menu.add(app, menu.Entry("Account", "auth.account", "members"))
    menu.add(app, menu.Entry("Sign out", "security.logout", "members", "post"))
