"""Accounts: registration, confirmation, sign-in and forgotten passwords, under `/users`."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprint, Flask-Security beside it, and the menu entries."""
    from app.auth import (  # noqa: F401 - tasks and pages register themselves
        account_views,
        addresses,
        cli,
        deletion,
        events,
        export_views,
        exports,
        history,
        lockout,
        mails,
        security,
        sessions,
        tasks,
        views,
    )
    from app.core import menu
    from app.core.security import limit_rate

    app.register_blueprint(views.auth_blueprint)
    security.init_app(app)
    sessions.init_app(app)
    events.init_app(app)
    addresses.init_app(app)
    mails.init_app(app)
    history.init_app(app)
    lockout.init_app(app)
    deletion.init_app(app)
    exports.init_app(app)
    app.cli.add_command(cli.auth)
    for endpoint in ("undo_address", "two_factor", "new_recovery_codes", "two_factor_off"):
        limit_rate(app, f"auth.{endpoint}", "10 per minute")
    limit_rate(app, "auth.delete_account", "10 per minute")
    limit_rate(app, "auth.exports", "5 per hour")
    menu.add(app, menu.Entry("Sign in", "security.login", "visitors"))
    menu.add(app, menu.Entry("Sign up", "security.register", "visitors"))
    menu.add(app, menu.Entry("Account", "auth.account", "members"))
    menu.add(app, menu.Entry("Sign out", "security.logout", "members", "post"))
