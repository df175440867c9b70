"""What config.py is built from: kinds of values, files of settings, words for what is wrong."""

import os
import re
import runpy
from email.utils import parseaddr
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo

DATABASES = ("postgresql", "postgresql+psycopg", "postgres", "sqlite")
REDIS = ("redis", "rediss", "sentinel")
PLACEHOLDERS = ("change-me", "only-for-tests")
# Looser than the standards: what no mail server and no browser would take, and no more.
ADDRESS = re.compile(r"[!-~]+@[\w-]+(\.[\w-]+)*", re.ASCII)
HOST = re.compile(r"[\w-]+(\.[\w-]+)*(:\d+)?")


class ConfigurationError(SystemExit):
    """The configuration cannot be used; the message names every variable that is wrong.

    A SystemExit, so that any process that meets it prints the message and exits with 1 before it
    opens a port, and no traceback hides the message.
    """


class SecretText(str):
    """A secret: a string for whoever uses it, stars in every `repr`, traceback and debugger."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def required(value: str) -> str:
    """Return `value`; raises ValueError when it is empty."""
    if not value:
        raise ValueError("is missing")
    return value


def random_enough(value: str) -> str:
    """Return the secret `value`; raises ValueError when somebody could guess it."""
    if any(placeholder in value for placeholder in PLACEHOLDERS):
        raise ValueError("is missing or a placeholder; set 32 or more random characters")
    if len(value) < 32 or len(set(value)) < 8:
        raise ValueError("is too short or too regular; set 32 or more random characters")
    return value


def shared(value: str) -> str:
    """Return the address of a database `value`; raises ValueError when it is a file, or empty."""
    if value.startswith("sqlite"):
        raise ValueError("names a SQLite file, which hosts cannot share; use PostgreSQL")
    return required(value)


def answerable(value: str) -> str:
    """Return the address `value`; raises ValueError when no mail from elsewhere reaches it."""
    if parseaddr(value)[1].endswith("@localhost"):
        raise ValueError("is an address that nobody can answer; use one of this site")
    return value


def somebody(value: list[str]) -> list[str]:
    """Return the addresses `value`; raises ValueError when there are none."""
    if not value:
        raise ValueError("is missing; name who gets error reports and what visitors write")
    return value


def one_kind_of_encryption(value: bool, info: ValidationInfo) -> bool:
    """Return MAIL_USE_SSL; raises ValueError when it is on beside MAIL_USE_TLS."""
    if value and info.data.get("MAIL_USE_TLS"):
        raise ValueError("and MAIL_USE_TLS are both on; STARTTLS and TLS exclude each other")
    return value


def known_hosts(value: list[str] | None, info: ValidationInfo) -> list[str]:
    """Return the hosts `value`, or the one SERVER_NAME names; raises ValueError without either."""
    if value:
        return value
    if info.data.get("SERVER_NAME"):
        return [info.data["SERVER_NAME"].partition(":")[0]]
    raise ValueError("is missing; list the host names of this site, or set SERVER_NAME")


def _database(value: str) -> str:
    scheme = _scheme(value)
    if value and scheme not in DATABASES:
        raise ValueError(
            "is no address like postgresql://user:password@host/name or sqlite:///path"
        )
    if scheme == "sqlite" and urlsplit(value).netloc:
        raise ValueError("needs a third slash before the path of a file, as in sqlite:///path")
    return value


def _mail_address(value: str) -> str:
    name, address = parseaddr(value)
    if not ADDRESS.fullmatch(address) or (not name and address != value.strip(" <>")):
        raise ValueError("is no address like name@example.com or Name <name@example.com>")
    return value


def _mail_addresses(value: list[str]) -> list[str]:
    try:
        return [_mail_address(address) for address in value]
    except ValueError:
        raise ValueError("has something in it that is no address like name@example.com") from None


def _host(value: str) -> str:
    if not HOST.fullmatch(value):
        raise ValueError("is no host name like www.example.com or www.example.com:8443")
    return value


def _log_file(value: Path) -> Path:
    """Ask before anything is written; the folders that are missing will be made."""
    above = value.absolute().parents
    folder = next((parent for parent in above if os.path.lexists(parent)), value)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError("is in a folder that cannot be written to")
    if os.path.exists(value) and not (value.is_file() and os.access(value, os.W_OK)):
        raise ValueError("is no file that can be written to")
    return value


def _scheme(url: str) -> str:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("has a host or port that cannot be read") from None
    return url.partition("://")[0] if "://" in url else ""


def _dsn(value: str) -> str:
    parts = urlsplit(value)
    served = _scheme(value) in ("http", "https") and parts.hostname and parts.username
    if not served or not re.search(r"/\d+\Z", parts.path):
        raise ValueError("is no address like https://key@host/1; Sentry calls it the DSN")
    return value


def _needs(package: str) -> AfterValidator:
    """Refuse a value that would do nothing, because an optional package is not installed."""

    def check(value: str) -> str:
        try:
            distribution(package)
        except PackageNotFoundError:
            raise ValueError(
                f"needs the package {package}, which is not installed; install "
                "requirements-extras.txt instead of requirements.txt, or leave it empty"
            ) from None
        return value

    return AfterValidator(check)


def _begins_with(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        scheme = _scheme(value)
        if value and scheme not in schemes:
            raise ValueError(f"must begin with one of {', '.join(schemes)} and ://")
        database = urlsplit(value).path.strip("/")
        if scheme in REDIS and database and not re.fullmatch(r"[0-9]+", database):
            raise ValueError("must end with the number of a database, as in redis://host/0")
        return value

    return AfterValidator(check)


Secret = Annotated[str, AfterValidator(SecretText)]
DatabaseURL = Annotated[Secret, AfterValidator(_database)]
BrokerURL = Annotated[Secret, _begins_with(*REDIS, "amqp", "amqps", "memory")]
ResultURL = Annotated[Secret, _begins_with(*REDIS, "rpc", "db+postgresql+psycopg")]
StoreURL = Annotated[Secret, _begins_with("redis", "rediss", "memory")]
SentryDSN = Annotated[Secret, AfterValidator(_dsn), _needs("sentry-sdk")]
OtlpEndpoint = Annotated[
    Secret, _begins_with("http", "https"), _needs("opentelemetry-exporter-otlp-proto-http")
]
CommaSeparated = Annotated[list[str], BeforeValidator(_split)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
MailAddresses = Annotated[CommaSeparated, AfterValidator(_mail_addresses)]
HostName = Annotated[str, AfterValidator(_host)]
LogFile = Annotated[Path, AfterValidator(_log_file)]
Port = Annotated[int, Field(ge=1, le=65533)]


def read_env_file(path: Path | None) -> dict[str, str]:
    """Return the variables of a `.env` file, none if there is no file.

    Raises ConfigurationError when the file cannot be read.
    """
    if path is None:
        return {}
    try:
        return {key: value for key, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"The settings in {path} cannot be read: {reason}. Correct the file or remove it."
        ) from None


def read_cfg_file(path: str | None) -> dict[str, Any]:
    """Return what a file of `NAME = value` lines in Python sets, as Flask reads it.

    Raises ConfigurationError when the file is missing or does not run.
    """
    if not path:
        return {}
    try:
        names = runpy.run_path(path)
    except Exception as error:  # the file is code, so anything can come out of it
        raise ConfigurationError(
            f"CONFIG_FILE names {path}, which cannot be read: {type(error).__name__}."
        ) from None
    return {name: value for name, value in names.items() if name.isupper()}


def secrets_folder(path: str | None) -> Path | None:
    """Return the folder with a file for each secret, None if this machine has none.

    Raises ConfigurationError when `path`, the value of SECRETS_DIR, is no folder.
    """
    folder = Path(path or "/run/secrets")
    if folder.is_dir():
        return folder
    if path:
        raise ConfigurationError(f"SECRETS_DIR names {path}, which is no folder.")
    return None


def host_cookies(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values`; raises ConfigurationError when browsers would drop our cookies for them.

    The names begin with `__Host-`, which binds a cookie to this host and to TLS. A browser drops
    such a cookie without a word when it is also for other hosts, for some paths, or for HTTP.
    """
    accepted = {"DOMAIN": (None, ""), "PATH": ("/", None), "SECURE": (True,)}
    wrong = [
        name
        for cookie in ("SESSION_COOKIE", "REMEMBER_COOKIE")
        for part, fine in accepted.items()
        if values.get(name := f"{cookie}_{part}", fine[0]) not in fine
    ]
    if wrong:
        raise ConfigurationError(
            f"ProductionConfig cannot be used with {' and '.join(wrong)}: cookies that begin with "
            "__Host- are for one host, for all its paths, and for HTTPS alone. Remove the setting."
        )
    return values


def explain(name: str, error: ValidationError) -> str:
    """Return one message with a line for each wrong variable of the class `name`."""
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "default_factory_not_called":
            continue  # it only follows from another problem in the list
        variable = problem["loc"][0] if problem["loc"] else "?"
        reason = problem.get("ctx", {}).get("error")
        problems.append(f"  {variable} {reason}" if reason else f"  {variable}: {problem['msg']}")
    return (
        f"{name} cannot be used:\n" + "\n".join(problems) + "\nSet them in the "
        "environment, in .env or as files in /run/secrets; docs/configuration.md describes each."
    )
