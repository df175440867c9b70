"""Flask-Security: its settings, its routes, and where ours replaces its own."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import Flask, Response, after_this_request, render_template, request
from flask_security import Security
from flask_wtf import FlaskForm
from sqlalchemy.exc import IntegrityError

from app.auth import forms, passwords, services
from app.auth.models import Role, User
from app.core import access
from app.core.security import limit_rate
from app.extensions import db
from app.models import utcnow

# Each of the library's routes that exists here: who may reach it, how often it may be posted to.
ROUTES: dict[str, tuple[access.Access, str | None]] = {
    "security.login": ("everyone", "10 per minute; 100 per hour"),
    "security.logout": ("everyone", None),
    "security.verify": ("members", "10 per minute"),
    "security.register": ("everyone", "10 per minute; 50 per hour"),
    "security.send_confirmation": ("everyone", "5 per minute; 20 per hour"),
    "security.confirm_email": ("everyone", None),
    "security.forgot_password": ("everyone", "5 per minute; 20 per hour"),
    "security.reset_password": ("everyone", "10 per minute"),
}

SETTINGS: dict[str, Any] = {
    "URL_PREFIX": "/users",
    "REGISTERABLE": True,
    "CONFIRMABLE": True,
    "RECOVERABLE": True,
    "PASSWORD_CONFIRM_REQUIRED": False,
    "CONFIRM_EMAIL_WITHIN": timedelta(days=2),
    "RESET_PASSWORD_WITHIN": timedelta(hours=2),
    # What links carry a digest of is no password; the library's default takes 0.4 s for each link,
    # and a visitor could tell by the wait whether an address was new.
    "HASHING_SCHEMES": ["hex_sha256"],
    "DEPRECATED_HASHING_SCHEMES": [],
    # Nobody learns from an answer whether an address has an account.
    "RETURN_GENERIC_RESPONSES": True,
    # No static files of the library's own; its pages and mails are ours.
    "STATIC_FOLDER": None,
    "LOGIN_USER_TEMPLATE": "auth/login.html",
    "REGISTER_USER_TEMPLATE": "auth/register.html",
    "SEND_CONFIRMATION_TEMPLATE": "auth/confirm.html",
    "FORGOT_PASSWORD_TEMPLATE": "auth/forgot.html",
    "RESET_PASSWORD_TEMPLATE": "auth/reset.html",
    "VERIFY_TEMPLATE": "auth/verify.html",
    "EMAIL_PLAINTEXT": False,
    "EMAIL_HTML": False,
    "REGISTER_EMAIL_TEMPLATE": "auth/mail/welcome",
    "REGISTER_EMAIL_EXISTING_TEMPLATE": "auth/mail/already_registered",
    "EMAIL_TEMPLATE_CONFIRM": "auth/mail/confirm",
    "EMAIL_TEMPLATE_PASSWORD_RESET": "auth/mail/reset",
    "EMAIL_TEMPLATE_PASSWORD_RESET_NOTICE": "auth/mail/password_changed",
    # Ours covers every page, see core/security.py.
    "CACHE_CONTROL": None,
    "DATETIME_FACTORY": utcnow,
    "CLI_USERS_NAME": None,
    "CLI_ROLES_NAME": None,
    "MSG_CONFIRM_REGISTRATION": (
        "Thank you. We have sent a mail to %(email)s; open the link in it to confirm the address.",
        "success",
    ),
    "MSG_CONFIRMATION_REQUEST": (
        "If %(email)s waits to be confirmed, a mail with a new link is on its way.",
        "info",
    ),
    "MSG_PASSWORD_RESET_REQUEST": (
        "If %(email)s has an account, a mail with a link to set a new password is on its way.",
        "info",
    ),
    "MSG_PASSWORD_RESET_NO_LOGIN": ("Your new password is set. Sign in with it.", "success"),
    "MSG_EMAIL_CONFIRMED": ("Thank you, your address is confirmed. You can sign in.", "success"),
    "MSG_ALREADY_CONFIRMED": ("This address is confirmed already. You can sign in.", "info"),
    "MSG_INVALID_CONFIRMATION_TOKEN": (
        "This link is not complete or not valid any more. Ask for a new one here.",
        "error",
    ),
    "MSG_INVALID_RESET_PASSWORD_TOKEN": (
        "This link is not complete or was used already. Ask for a new one here.",
        "error",
    ),
    "MSG_CONFIRMATION_EXPIRED": (
        "This link was good for %(within)s. Ask for a new one here.",
        "error",
    ),
    "MSG_PASSWORD_RESET_EXPIRED": (
        "This link was good for %(within)s. Ask for a new one here.",
        "error",
    ),
    "MSG_GENERIC_AUTHN_FAILED": (
        "The address or the password is wrong, or the address is not confirmed yet.",
        "error",
    ),
    "MSG_UNAUTHENTICATED": ("Sign in to see this page.", "info"),
    "MSG_INVALID_EMAIL_ADDRESS": ("Write the address in full, like name@example.com.", "error"),
    "MSG_EMAIL_NOT_PROVIDED": ("Write your address.", "error"),
    "MSG_PASSWORD_NOT_PROVIDED": ("Write a password.", "error"),
    "MSG_PASSWORD_INVALID_LENGTH": ("Use at least %(length)s characters.", "error"),
    "MSG_RETYPE_PASSWORD_MISMATCH": ("The two passwords differ.", "error"),
}


def init_app(app: Flask) -> None:
    """Set the library up for `app`, and shut those of its routes that ROUTES does not name."""
    for name, value in SETTINGS.items():
        app.config.setdefault(f"SECURITY_{name}", value)
    app.config.setdefault(
        "SECURITY_EMAIL_VALIDATOR_ARGS",
        {
            "check_deliverability": False,
            "allow_smtputf8": False,
            # Domains like example.test reach nobody, which is what development wants.
            "test_environment": bool(app.testing or app.config["MAILBOX_PATH"]),
        },
    )
    security = Security(
        app,
        services.Accounts(db, User, Role),
        mail_util_cls=services.BackgroundMail,
        password_util_cls=passwords.PasswordRules,
        register_form=forms.RegisterForm,
        login_form=forms.LoginForm,
        forgot_password_form=forms.ForgotPasswordForm,
        send_confirmation_form=forms.SendConfirmationForm,
        render_template=render,
    )
    security.want_json(lambda _: False)
    # Flask-Principal would look the user up for every request, for a picture or `/healthz` too.
    # Nothing here uses its permissions; roles are asked of `current_user`.
    app.before_request_funcs[None].remove(security.principal._on_before_request)
    app.view_functions["security.register"] = again_after_a_race(
        app.view_functions["security.register"]
    )
    for endpoint, (who, limits) in ROUTES.items():
        if limits:
            limit_rate(app, endpoint, limits)
        access.state(app.view_functions[endpoint], who)


def again_after_a_race(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let `view` answer once more when another request stored the same address meanwhile.

    Its check and its insert are two steps. The second time it finds the address, and answers as it
    does for every known one.
    """

    @wraps(view)
    def answer(**arguments: Any) -> Any:
        try:
            return view(**arguments)
        except IntegrityError:
            db.session.rollback()
            return view(**arguments)

    return answer


def render(template: str, **context: Any) -> str:
    """Return the page; one that shows what is wrong with a form is sent with the status 422."""
    forms_shown = [value for value in context.values() if isinstance(value, FlaskForm)]
    if request.method == "POST" and any(form.errors for form in forms_shown):
        after_this_request(unprocessable)
    for form in forms_shown:
        if isinstance(form, forms.TellsMalformed):
            form.put_errors_back()
    return render_template(template, **context)


def unprocessable(response: Response) -> Response:
    """Say by the status that the form was refused, unless something worse happened since."""
    if response.status_code == 200:
        response.status_code = 422
    return response
