"""The settings of Flask-Security, and its messages in our words. SECURITY_ goes before each."""

from datetime import timedelta
from typing import Any

from app.models import utcnow

SETTINGS: dict[str, Any] = {
    "URL_PREFIX": "/users",
    "REGISTERABLE": True,
    "CONFIRMABLE": True,
    "RECOVERABLE": True,
    "CHANGEABLE": True,
    "CHANGE_EMAIL": True,
    "PASSWORD_CONFIRM_REQUIRED": False,
    "CONFIRM_EMAIL_WITHIN": timedelta(days=2),
    "RESET_PASSWORD_WITHIN": timedelta(hours=2),
    # Sensitive steps ask for the password again when it was last given longer ago than this. Being
    # busy does not prolong it.
    "FRESHNESS": timedelta(minutes=10),
    "FRESHNESS_GRACE_PERIOD": timedelta(0),
    # Pages are for browsers that signed in; the library's own tokens, in a header or an address,
    # open nothing.
    "API_ENABLED_METHODS": ["session"],
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
    "CHANGE_PASSWORD_TEMPLATE": "auth/change_password.html",
    "POST_CHANGE_VIEW": "auth.account",
    "CHANGE_EMAIL_TEMPLATE": "auth/change_email.html",
    "CHANGE_EMAIL_EMAIL_TEMPLATE": "auth/mail/change_email",
    "CHANGE_EMAIL_WITHIN": timedelta(hours=2),
    "POST_CHANGE_EMAIL_VIEW": "auth.account",
    "EMAIL_PLAINTEXT": False,
    "EMAIL_HTML": False,
    "REGISTER_EMAIL_TEMPLATE": "auth/mail/welcome",
    "REGISTER_EMAIL_EXISTING_TEMPLATE": "auth/mail/already_registered",
    "EMAIL_TEMPLATE_CONFIRM": "auth/mail/confirm",
    "EMAIL_TEMPLATE_PASSWORD_RESET": "auth/mail/reset",
    "EMAIL_TEMPLATE_PASSWORD_RESET_NOTICE": "auth/mail/password_changed",
    # A second factor: codes of an app, and recovery codes when it is lost. Our pages turn it on and
    # off; the library asks for it at the sign-in. A code is taken 30 seconds early or late.
    "TWO_FACTOR": True,
    "TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
    "TWO_FACTOR_AUTHENTICATOR_VALIDITY": 30,
    "TWO_FACTOR_RESCUE_EMAIL": False,
    "TWO_FACTOR_TOKEN_VALIDATION_URL": "/two-factor/code",
    "TWO_FACTOR_VERIFY_CODE_TEMPLATE": "auth/two_factor_code.html",
    "MULTI_FACTOR_RECOVERY_CODES": True,
    "MULTI_FACTOR_RECOVERY_CODES_N": 10,
    "MULTI_FACTOR_RECOVERY_URL": "/two-factor/recovery",
    "MULTI_FACTOR_RECOVERY_TEMPLATE": "auth/recovery.html",
    # Passkeys sign in by themselves, and confirm who is there. Nobody types an address for them, so
    # nobody learns from the answer whether it has any.
    "WEBAUTHN": True,
    "WAN_ALLOW_AS_FIRST_FACTOR": True,
    "WAN_ALLOW_AS_MULTI_FACTOR": True,
    "WAN_ALLOW_AS_VERIFY": ["first"],
    "WAN_ALLOW_USER_HINTS": False,
    "WAN_REGISTER_WITHIN": timedelta(minutes=5),
    "WAN_SIGNIN_WITHIN": timedelta(minutes=2),
    # Letters come apart from their accents before they are looked at: é is a letter and a mark.
    "WAN_NAME_ALLOWED_CHARS": ["L", "M", "N", "P", "Zs"],
    "WAN_REGISTER_URL": "/passkeys",
    "WAN_REGISTER_TEMPLATE": "auth/passkeys.html",
    "WAN_SIGNIN_URL": "/passkeys/sign-in",
    "WAN_SIGNIN_TEMPLATE": "auth/passkey_sign_in.html",
    "WAN_VERIFY_URL": "/passkeys/verify",
    "WAN_VERIFY_TEMPLATE": "auth/passkey_verify.html",
    "WAN_DELETE_URL": "/passkeys/remove",
    # mails.py tells of changes, with when and from where.
    "SEND_PASSWORD_CHANGE_EMAIL": False,
    # Ours covers every page, see core/security.py.
    "CACHE_CONTROL": None,
    "DATETIME_FACTORY": utcnow,
    "CLI_USERS_NAME": None,
    "CLI_ROLES_NAME": None,
}

MESSAGES: dict[str, tuple[str, str]] = {
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
    "MSG_INVALID_REDIRECT": (
        "The link that brought you here goes on to another site. Open the page from the menu.",
        "error",
    ),
    "MSG_UNAUTHENTICATED": ("Sign in to see this page.", "info"),
    "MSG_INVALID_EMAIL_ADDRESS": ("Write the address in full, like name@example.com.", "error"),
    "MSG_EMAIL_NOT_PROVIDED": ("Write your address.", "error"),
    "MSG_PASSWORD_NOT_PROVIDED": ("Write a password.", "error"),
    "MSG_PASSWORD_INVALID_LENGTH": ("Use at least %(length)s characters.", "error"),
    "MSG_INVALID_PASSWORD": ("This is not your password.", "error"),
    "MSG_PASSWORD_IS_THE_SAME": ("Choose a password other than the one you have.", "error"),
    "MSG_PASSWORD_CHANGE": (
        "Your new password is set, and all other browsers are signed out.",
        "success",
    ),
    # The same whether the link is altered, was used, or the address was taken meanwhile.
    "MSG_API_ERROR": ("This link is not complete or not valid any more.", "error"),
    "MSG_CHANGE_EMAIL_EXPIRED": ("This link was good for %(within)s. Ask for a new one.", "error"),
    "MSG_CHANGE_EMAIL_SENT": (
        "We have sent a mail to %(email)s; open the link in it to make it your address.",
        "success",
    ),
    "MSG_CHANGE_EMAIL_CONFIRMED": (
        "Your address is changed, and all other browsers are signed out.",
        "success",
    ),
    "MSG_REAUTHENTICATION_REQUIRED": ("Before this step, confirm that it is you.", "info"),
    "MSG_REAUTHENTICATION_SUCCESSFUL": ("Thank you. Go on here.", "success"),
    "MSG_TWO_FACTOR_INVALID_TOKEN": (
        "This code is wrong, too old, or was used already. Wait for the next one.",
        "error",
    ),
    "MSG_TWO_FACTOR_LOGIN_SUCCESSFUL": ("You are signed in with both factors.", "success"),
    "MSG_TWO_FACTOR_PERMISSION_DENIED": ("Sign in with your password first.", "info"),
    "MSG_INVALID_RECOVERY_CODE": ("This code is wrong or was used already.", "error"),
    # One answer for whatever is wrong with a passkey.
    **dict.fromkeys(
        (
            "MSG_WEBAUTHN_NO_VERIFY",
            "MSG_WEBAUTHN_UNKNOWN_CREDENTIAL_ID",
            "MSG_WEBAUTHN_ORPHAN_CREDENTIAL_ID",
            "MSG_WEBAUTHN_CREDENTIAL_WRONG_USAGE",
            "MSG_WEBAUTHN_MISMATCH_USER_HANDLE",
        ),
        ("This passkey could not be verified. Try again, or use your password.", "error"),
    ),
    "MSG_WEBAUTHN_EXPIRED": ("This took longer than %(within)s. Try again.", "error"),
    "MSG_WEBAUTHN_CREDENTIAL_ID_INUSE": ("This passkey is here already.", "error"),
    "MSG_WEBAUTHN_NAME_INUSE": ("You have a passkey with the name %(name)s.", "error"),
    "MSG_WEBAUTHN_NAME_REQUIRED": ("Give the passkey a name.", "error"),
    "MSG_WEBAUTHN_NAME_NOT_FOUND": ("You have no passkey with that name.", "error"),
    "MSG_WEBAUTHN_NAME_DISALLOWED_CHARACTERS": (
        "Use letters, digits, spaces and punctuation.",
        "error",
    ),
    "MSG_INVALID_INPUT": ("Use letters, digits, spaces and punctuation.", "error"),
    "MSG_INVALID_INPUT_LENGTH": ("Use at most %(length)s characters.", "error"),
    "MSG_WEBAUTHN_REGISTER_SUCCESSFUL": ("The passkey %(name)s is added.", "success"),
    "MSG_WEBAUTHN_CREDENTIAL_DELETED": ("The passkey %(name)s is removed.", "success"),
    "MSG_RETYPE_PASSWORD_MISMATCH": ("The two passwords differ.", "error"),
}
