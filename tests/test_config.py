"""Configuration: which source wins, what is refused, and that no message holds a value."""

import os
import re
from pathlib import Path

import pytest

import config
from settings import ConfigurationError

MARKER = "never-show-this-value"
DEVELOPMENT, TESTING, PRODUCTION = config.CONFIG_TYPES
LADDER = ["the class", "a secret file", ".env", "the environment", "the CFG file", "an argument"]
COMPLETE = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
    "SECURITY_PASSWORD_SALT": "zyxwvutsrqponmlkjihgfedcba9876543210",
    "DATABASE_URL": "postgresql://stockpot:soup@127.0.0.1/stockpot",
    "CELERY_BROKER_URL": "redis://127.0.0.1/0",
    "REDIS_URL": "redis://127.0.0.1/1",
    "MAIL_SERVER": "smtp.example.com",
    "MAIL_DEFAULT_SENDER": "noreply@stockpot.example",
    "ADMINS": "ada@stockpot.example",
    "TRUSTED_HOSTS": "stockpot.example,www.stockpot.example",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder where `.env` is looked for; the environment is empty too."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "BASE_DIR", tmp_path)
    return tmp_path


def refusal(**values: object) -> str:
    """Return the message with which these values are refused."""
    with pytest.raises(ConfigurationError) as caught:
        config.load(DEVELOPMENT, values)
    return str(caught.value)


def named_in(message: str) -> set[str]:
    """Return the variables that a message complains about, one a line."""
    return set(re.findall(r"^  ([A-Z_]+)\b", message, re.MULTILINE))


# Where values come from


@pytest.mark.parametrize(
    ("config_type", "expected"),
    [
        (
            DEVELOPMENT,
            {
                "APP_NAME": "Stockpot",
                "PORT": 5000,
                "DEBUG": True,
                "DATABASE_URL": f"sqlite:///{config.INSTANCE / 'app.db'}",
                "CELERY_BROKER_URL": "redis://127.0.0.1:5001/0",
                "REDIS_URL": "redis://127.0.0.1:5001/1",
                "MAIL_SERVER": "127.0.0.1",
                "MAIL_PORT": 5002,
                "LOG_FILE": config.INSTANCE / "logs" / "app.log",
                "MAILBOX_PATH": config.INSTANCE / "mailbox",
                "HSTS": False,
            },
        ),
        (
            TESTING,
            {
                "TESTING": True,
                "DEBUG": False,
                "DATABASE_URL": "sqlite:////you-forgot-to-choose/a-database",
                "CELERY_BROKER_URL": "redis://you-forgot-to-start-a-broker/0",
                "MAIL_SERVER": "you-forgot-to-start-an-smtp-listener",
                "LOG_FILE": None,
                "MAILBOX_PATH": None,
            },
        ),
        (
            PRODUCTION,
            {
                "DEBUG": False,
                "MAIL_PORT": 587,
                "LOG_FILE": None,
                "MAILBOX_PATH": None,
                "TRUSTED_HOSTS": ["stockpot.example", "www.stockpot.example"],
                "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://stockpot:soup@127.0.0.1/stockpot",
                "SESSION_COOKIE_NAME": "__Host-session",
                "SESSION_COOKIE_SECURE": True,
                "REMEMBER_COOKIE_SECURE": True,
                "HSTS": True,
                "PREFERRED_URL_SCHEME": "https",
            },
        ),
    ],
)
def test_each_class_has_its_defaults(config_type: str, expected: dict[str, object]) -> None:
    settings = config.load(config_type, COMPLETE if config_type == PRODUCTION else {})
    assert {name: getattr(settings, name) for name in expected} == expected


def test_development_uses_the_two_ports_after_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "7000")
    settings = config.load(DEVELOPMENT, {"REDIS_URL": "redis://elsewhere/1"})
    assert settings.CELERY_BROKER_URL == "redis://127.0.0.1:7001/0"
    assert settings.REDIS_URL == "redis://elsewhere/1"
    assert settings.MAIL_PORT == 7002


@pytest.mark.parametrize("winner", LADDER)
def test_each_source_wins_over_those_before_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    rank = LADDER.index(winner)
    (project / "secrets").mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(project / "secrets"))
    if rank >= 1:
        (project / "secrets" / "SECRET_KEY").write_text("a secret file\n")
    if rank >= 2:
        (project / ".env").write_text("SECRET_KEY=.env\n")
    if rank >= 3:
        monkeypatch.setenv("SECRET_KEY", "the environment")
    if rank >= 4:
        (project / "my.cfg").write_text("SECRET_KEY = 'the CFG file'\n")
        (project / ".env").write_text("CONFIG_FILE=missing.cfg\n")
        monkeypatch.setenv("CONFIG_FILE", str(project / "my.cfg"))
    overrides = {"SECRET_KEY": "an argument"} if rank >= 5 else {}
    found = config.load(DEVELOPMENT, overrides).SECRET_KEY
    assert found == ("change-me" if winner == "the class" else winner)


@pytest.mark.parametrize(
    ("argument", "environment", "env_file"),
    [
        (None, "", TESTING),
        (None, TESTING, DEVELOPMENT),
        (TESTING, "nonsense", "nonsense"),
    ],
)
def test_config_type_names_the_class(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    environment: str,
    env_file: str,
) -> None:
    assert type(config.load()) is config.DevelopmentConfig
    (project / ".env").write_text(f"CONFIG_TYPE={env_file}\n")
    monkeypatch.setenv("CONFIG_TYPE", environment)
    assert type(config.load(argument)) is config.TestingConfig


def test_tests_do_not_read_the_env_file(project: Path) -> None:
    (project / "my.cfg").write_text("APP_NAME = 'From the CFG file'\n")
    env = f"MAIL_SERVER=mail.example.com\nCONFIG_FILE={project / 'my.cfg'}\n"
    (project / ".env").write_text(env)
    settings = config.load(TESTING)
    assert (settings.MAIL_SERVER, settings.APP_NAME) == (
        "you-forgot-to-start-an-smtp-listener",
        "Stockpot",
    )
    assert config.load(DEVELOPMENT).MAIL_SERVER == "mail.example.com"
    assert config.load(DEVELOPMENT).APP_NAME == "From the CFG file"
    (project / ".env").write_bytes(b"\xff")
    config.load(TESTING)


def test_empty_values_count_as_unset(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".env").write_text("APP_NAME=Soup\nPORT=\nDATABASE_URL=\nCONFIG_FILE=\n")
    monkeypatch.setenv("APP_NAME", "")
    settings = config.load(DEVELOPMENT)
    assert (settings.APP_NAME, settings.PORT) == ("Soup", 5000)
    assert settings.DATABASE_URL.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a,b", ["a", "b"]), (" a , b,", ["a", "b"]), ("12", ["12"]), ("null", ["null"]), (",", [])],
)
def test_lists_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", text)
    monkeypatch.setenv("ADMINS", ",".join(f"{part}@x.example" for part in expected))
    settings = config.load(TESTING)
    assert expected == settings.TRUSTED_HOSTS
    assert [f"{part}@x.example" for part in expected] == settings.ADMINS


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAIL_DEFAULT_SENDER", "noreply@localhost"),
        ("MAIL_DEFAULT_SENDER", "Stockpot <noreply@stockpot.example>"),
        ("MAIL_DEFAULT_SENDER", '"Soup, and more" <no-reply+soup@stockpot.example>'),
        ("ADMINS", "admin@localhost,Ada <ada@example.com>"),
        ("DATABASE_URL", "sqlite:///app.db"),
        ("DATABASE_URL", "sqlite:////tmp/app.db"),
        ("DATABASE_URL", "sqlite://"),
        ("CELERY_BROKER_URL", "redis://host"),
        ("CELERY_BROKER_URL", "rediss://:password@host:6380/15?ssl_cert_reqs=required"),
        ("CELERY_BROKER_URL", "amqp://guest:guest@host/name"),
        ("REDIS_URL", "redis://host/"),
        ("SERVER_NAME", "localhost:5000"),
        ("SERVER_NAME", "www.stockpot.example"),
        ("LOG_FILE", "not/yet/there/app.log"),
    ],
)
def test_right_value_is_accepted(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.chdir(project)
    config.load(DEVELOPMENT, {variable: value})
    assert list(project.iterdir()) == []


# What is refused


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", MARKER),
        ("PORT", "70000"),
        ("DEBUG", MARKER),
        ("MAIL_PORT", MARKER),
        ("LOG_LEVEL", MARKER),
        ("LOG_FORMAT", MARKER),
        ("PROXY_HOPS", "-1"),
        ("ADMINS", 5),
        ("APP_NAME", MARKER * 4),
        ("DATABASE_URL", MARKER),
        ("DATABASE_URL", f"mysql://{MARKER}@host/name"),
        ("DATABASE_URL", f"SQLite:///{MARKER}"),
        ("DATABASE_URL", f"postgresql+unknown://{MARKER}@host/name"),
        ("DATABASE_URL", f"postgresql://{MARKER}@host:port/name"),
        ("CELERY_BROKER_URL", f"http://{MARKER}"),
        ("CELERY_BROKER_URL", "redis"),
        ("RESULT_BACKEND", f"nonsense://{MARKER}"),
        ("REDIS_URL", f"amqp://{MARKER}"),
        ("LOG_FILE", f"/dev/null/{MARKER}.log"),
        ("LOG_FILE", "/"),
        ("LOG_FILE", "/dev/null"),
        ("DATABASE_URL", f"sqlite://{MARKER}"),
        ("MAIL_DEFAULT_SENDER", MARKER),
        ("MAIL_DEFAULT_SENDER", f"Soup, and more <{MARKER}@example.com>"),
        ("MAIL_DEFAULT_SENDER", f"{MARKER}@"),
        ("MAIL_DEFAULT_SENDER", f"a@example.com {MARKER}"),
        ("ADMINS", f"not an address {MARKER}"),
        ("ADMINS", f"ada@example.com,{MARKER}"),
        ("CELERY_BROKER_URL", f"redis://host/{MARKER}"),
        ("REDIS_URL", f"rediss://host/{MARKER}"),
        ("RESULT_BACKEND", f"sentinel://host/{MARKER}"),
        ("SERVER_NAME", f"a {MARKER}"),
        ("SERVER_NAME", f"https://{MARKER}.example"),
    ],
)
def test_wrong_value_is_reported_by_name_and_never_shown(variable: str, value: object) -> None:
    message = refusal(**{variable: value})
    assert named_in(message) == {variable}
    assert MARKER not in message


def test_both_kinds_of_encryption_are_refused() -> None:
    assert named_in(refusal(MAIL_USE_TLS=True, MAIL_USE_SSL=True)) == {"MAIL_USE_SSL"}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CONFIG_TYPE", "config.Nonsense", "CONFIG_TYPE is 'config.Nonsense', but must be one of"),
        ("CONFIG_FILE", "missing.cfg", "CONFIG_FILE names missing.cfg, which cannot be read"),
        ("CONFIG_FILE", "broken.cfg", "CONFIG_FILE names broken.cfg, which cannot be read"),
        ("SECRETS_DIR", "missing", "SECRETS_DIR names missing, which is no folder"),
        ("SECRETS_DIR", "secrets", "A file in secrets cannot be read: .*SECRET_KEY"),
        ("PORT", "5000", r"The settings in .*\.env cannot be read: it is not UTF-8 text"),
    ],
)
def test_file_that_cannot_be_read_is_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.chdir(project)
    Path("broken.cfg").write_text(f"SECRET_KEY = {MARKER!r} +\n")
    Path("secrets").mkdir()
    Path("secrets", "SECRET_KEY").write_bytes(f"\xff{MARKER}".encode("latin-1"))
    if variable == "PORT":
        Path(".env").write_bytes(f"SECRET_KEY=\xff{MARKER}".encode("latin-1"))
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    message = str(caught.value)
    assert re.match(expected, message)
    assert len(message.splitlines()) == 1
    assert MARKER not in message
