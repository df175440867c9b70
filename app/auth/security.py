"""Flask-Security: its routes, and where ours replaces its own; settings.py has its settings."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

from flask import Flask, Request, Response, abort, after_this_request, render_template, request
from flask_login import current_user
from flask_login.utils import _user_context_processor
from flask_security import Security, anonymous_user_required
from flask_wtf import FlaskForm
from sqlalchemy.exc import IntegrityError

from app.auth import (
    addresses,
    confirmation,
    forms,
    fresh,
    passkeys,
    passwords,
    services,
    sessions,
    two_factors,
)
from app.auth.models import Passkey, Role, User
from app.auth.settings import MESSAGES, SETTINGS
from app.core import access
from app.core.keys import derive
from app.core.security import limit_rate
from app.extensions import db

# Each of the library's routes that exists here: who may reach it, how often it may be posted to.
ROUTES: dict[str, tuple[access.Access, str | None]] = {
    "security.login": ("everyone", "10 per minute; 100 per hour"),
    "security.logout": ("everyone", None),
    "security.verify": ("members", "10 per minute"),
    "security.change_password": ("members", "10 per minute"),
    "security.change_email": ("members", "5 per minute; 20 per hour"),
    "security.change_email_confirm": ("everyone", None),
    "security.two_factor_token_validation": ("everyone", "10 per minute; 50 per hour"),
    "security.mf_recovery": ("everyone", "5 per minute; 20 per hour"),
    "security.wan_register": ("members", "10 per minute"),
    "security.wan_register_response": ("members", "10 per minute"),
    "security.wan_delete": ("members", "10 per minute"),
    "security.wan_verify": ("members", "10 per minute"),
    "security.wan_verify_response": ("members", "10 per minute"),
    "security.wan_signin": ("everyone", "20 per minute; 100 per hour"),
    "security.wan_signin_response": ("everyone", "20 per minute; 100 per hour"),
    "security.register": ("everyone", "10 per minute; 50 per hour"),
    "security.send_confirmation": ("everyone", "5 per minute; 20 per hour"),
    "security.confirm_email": ("everyone", None),
    "security.forgot_password": ("everyone", "5 per minute; 20 per hour"),
    "security.reset_password": ("everyone", "10 per minute"),
}


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


# What guards routes more than the library does.
GUARDS: dict[str, Callable[[access.View], access.View]] = {
    "security.register": again_after_a_race,
    "security.confirm_email": confirmation.guard,
    "security.change_email_confirm": addresses.guard,
    "security.change_password": fresh.fresh,
    "security.verify": sessions.renewed,
    "security.wan_verify_response": sessions.renewed,
    # The library would sign out somebody who is signed in and merely looks at this page.
    "security.two_factor_token_validation": anonymous_user_required,
}


def init_app(app: Flask) -> None:
    """Set the library up for `app`, and shut those of its routes that ROUTES does not name."""
    configure(app)
    security = Security(
        app,
        services.Accounts(db, User, Role, Passkey),
        mail_util_cls=services.BackgroundMail,
        password_util_cls=passwords.PasswordRules,
        totp_cls=two_factors.Totp,
        mf_recovery_codes_util_cls=two_factors.RecoveryCodes,
        webauthn_util_cls=passkeys.WebauthnUtil,
        wan_register_form=passkeys.PasskeyForm,
        wan_register_response_form=passkeys.NewPasskeyForm,
        wan_signin_response_form=passkeys.PasskeyAnswerForm,
        two_factor_verify_code_form=forms.VerifyCodeForm,
        two_factor_rescue_form=forms.NoRescueForm,
        mf_recovery_form=forms.RecoveryForm,
        register_form=forms.RegisterForm,
        login_form=forms.LoginForm,
        forgot_password_form=forms.ForgotPasswordForm,
        send_confirmation_form=forms.SendConfirmationForm,
        change_password_form=forms.ChangePasswordForm,
        verify_form=forms.VerifyForm,
        change_email_form=forms.ChangeEmailForm,
        render_template=render,
    )
    security.want_json(lambda _: False)
    # Flask-Principal would look the user up for every request, for a picture or `/healthz` too.
    # Nothing here uses its permissions; roles are asked of `current_user`. That looks the user up
    # for every template by itself: as a global it does so for those which use it.
    app.before_request_funcs[None].remove(security.principal._on_before_request)
    app.template_context_processors[None].remove(_user_context_processor)
    app.jinja_env.globals["current_user"] = current_user
    # No request signs itself in; without this, each would be searched for a token.
    security.login_manager.request_loader(nobody)
    fresh.init_app(security)
    confirmation.init_app(app)
    guard_routes(app)


def nobody(_: Request) -> None:
    """Return whom a request without a cookie is from."""


def configure(app: Flask) -> None:
    """Fill in what the configuration of `app` leaves open."""
    for name, value in {**SETTINGS, **MESSAGES}.items():
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
    # A colon would end the name in the address that an app reads from the picture.
    app.config.setdefault("SECURITY_TOTP_ISSUER", app.config["APP_NAME"].replace(":", " "))
    app.config.setdefault("SECURITY_WAN_RP_NAME", app.config["APP_NAME"])
    secret = derive(app, "secrets of second factors")
    app.config.setdefault("SECURITY_TOTP_SECRETS", {"1": secret})


def guard_routes(app: Flask) -> None:
    """Limit and mark the library's routes that exist here, and shut all others."""
    for endpoint in [name for name in app.view_functions if name.startswith("security.")]:
        who, limits = ROUTES.get(endpoint, ("everyone", None))
        if endpoint not in ROUTES:
            app.view_functions[endpoint] = shut
        if endpoint in GUARDS:
            app.view_functions[endpoint] = GUARDS[endpoint](app.view_functions[endpoint])
        if limits:
            limit_rate(app, endpoint, limits)
        access.state(app.view_functions[endpoint], who)


def shut(**_: str) -> NoReturn:
    """Answer that there is no such page."""
    abort(404)


def render(template: str, **context: Any) -> str:
    """Return the page; one that shows what is wrong with a form is sent with the status 422."""
    forms_shown = [value for value in context.values() if isinstance(value, FlaskForm)]
    if request.method == "POST" and any(form.errors for form in forms_shown):
        after_this_request(unprocessable)
    for form in forms_shown:
        if isinstance(form, forms.AsksForLink):
            form.put_errors_back()
    return render_template(template, **context)


def unprocessable(response: Response) -> Response:
    """Say by the status that the form was refused, unless something worse happened since."""
    if response.status_code == 200:
        response.status_code = 422
    return response
