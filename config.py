"""Configuration: one class for each environment, filled from the environment and `.env`.

`CONFIG_TYPE` names the class. A value comes from the first of these that has it: an argument of
`create_app()`, the CFG file that `CONFIG_FILE` names, the environment, `.env`, a file in
`/run/secrets`, the class. This module alone reads the environment.
"""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from settings import (
    BrokerURL,
    CommaSeparated,
    ConfigurationError,
    DatabaseURL,
    HostName,
    LogFile,
    MailAddress,
    MailAddresses,
    OtlpEndpoint,
    Port,
    ResultURL,
    Secret,
    SecretText,
    SentryDSN,
    StoreURL,
    answerable,
    explain,
    host_cookies,
    known_hosts,
    one_kind_of_encryption,
    random_enough,
    read_cfg_file,
    read_env_file,
    required,
    secrets_folder,
    shared,
    somebody,
)

BASE_DIR = Path(__file__).resolve().parent
INSTANCE = BASE_DIR / "instance"


def flask_debug() -> bool:
    """Tell whether Flask's debugger is on, as `flask --debug` and FLASK_DEBUG say."""
    return os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")


class Config(BaseSettings):
    """What all environments share: a field is a variable, a ClassVar or a property is not."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        enable_decoding=False,  # lists are separated by commas, nothing is JSON
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        validate_default=True,
    )

    APP_NAME: str = Field(default="Stockpot", max_length=60)
    HOST: str = "127.0.0.1"
    PORT: Port = 5000
    WEB_CONCURRENCY: int | None = Field(default=None, ge=1, le=256)
    DEBUG: bool = False

    SECRET_KEY: Secret = "change-me"  # noqa: S105 - refused in production
    SECURITY_PASSWORD_SALT: Secret = "change-me"  # noqa: S105

    DATABASE_URL: DatabaseURL = f"sqlite:///{INSTANCE / 'app.db'}"
    CELERY_BROKER_URL: BrokerURL = "redis://127.0.0.1:6379/0"
    RESULT_BACKEND: ResultURL | None = None
    REDIS_URL: StoreURL = "redis://127.0.0.1:6379/1"

    MAIL_SERVER: str = "127.0.0.1"
    MAIL_PORT: Port = 25
    MAIL_USE_TLS: bool = False
    MAIL_USE_SSL: bool = False
    MAIL_USERNAME: str | None = None
    MAIL_PASSWORD: Secret | None = None
    MAIL_DEFAULT_SENDER: MailAddress = "noreply@localhost"
    ADMINS: MailAddresses = []

    SERVER_NAME: HostName | None = None
    TRUSTED_HOSTS: CommaSeparated | None = None
    PROXY_HOPS: int = Field(default=0, ge=0, le=5)

    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    LOG_FORMAT: Literal["text", "json"] = "text"
    LOG_FILE: LogFile | None = None
    METRICS_TOKEN: Secret | None = Field(default=None, min_length=16)
    SENTRY_DSN: SentryDSN | None = None
    OTEL_EXPORTER_OTLP_ENDPOINT: OtlpEndpoint | None = None

    # With its debugger on, Flask shows a traceback; without it a visitor gets our own page.
    PROPAGATE_EXCEPTIONS: ClassVar[bool] = flask_debug()
    MAX_CONTENT_LENGTH: ClassVar[int] = 2 * 1024 * 1024
    MAX_FORM_MEMORY_SIZE: ClassVar[int] = 256 * 1024
    PERMANENT_SESSION_LIFETIME: ClassVar[timedelta] = timedelta(days=14)
    SESSION_COOKIE_SAMESITE: ClassVar[str] = "Lax"
    REMEMBER_COOKIE_DURATION: ClassVar[timedelta] = timedelta(days=30)
    REMEMBER_COOKIE_SAMESITE: ClassVar[str] = "Lax"
    HSTS: ClassVar[bool] = False

    # A store that does not answer is given 0.1 s, then each process counts by itself.
    RATELIMIT_IN_MEMORY_FALLBACK_ENABLED: ClassVar[bool] = True
    RATELIMIT_STORAGE_OPTIONS: ClassVar[dict[str, Any]] = {
        "socket_connect_timeout": 0.1,
        "socket_timeout": 0.1,
    }

    MAILBOX_PATH: ClassVar[Path | None] = None

    # Durable jobs, in seconds: a worker without a sign of life loses its job after this, looks for
    # jobs this often, hints again at one after this, may finish for so long when told to stop.
    JOBS_LEASE: ClassVar[float] = 30.0
    JOBS_SWEEP: ClassVar[float] = 2.0
    JOBS_HINT_AGAIN: ClassVar[float] = 20.0
    JOBS_STOP: ClassVar[float] = 20.0

    # Durable tasks that start by themselves, and when: the fields of a crontab line, in UTC.
    SCHEDULE: ClassVar[dict[str, dict[str, str]]] = {
        "app.auth.tasks.forget_unconfirmed": {"hour": "3", "minute": "17"},
        "app.auth.tasks.clean_up": {"minute": "43"},
        "app.jobs.housekeeping.purge": {"hour": "3", "minute": "37"},
        "app.jobs.housekeeping.report_dead": {"hour": "6", "minute": "7"},
    }

    _others: dict[str, Any] = PrivateAttr(default_factory=dict)

    _encryption = field_validator("MAIL_USE_SSL")(one_kind_of_encryption)

    @property
    def others(self) -> dict[str, Any]:
        """What `create_app()` and the CFG file set besides the variables."""
        return self._others

    @property
    def SQLALCHEMY_DATABASE_URI(self) -> str:
        """The address with the driver that is installed: psycopg 3 for PostgreSQL."""
        scheme, separator, rest = self.DATABASE_URL.partition("://")
        if scheme in ("postgres", "postgresql"):
            return SecretText(f"postgresql+psycopg{separator}{rest}")
        return self.DATABASE_URL

    @property
    def SQLALCHEMY_ENGINE_OPTIONS(self) -> dict[str, Any]:
        """Parameters stay out of error messages: they hold addresses and password hashes."""
        bounds = {} if self.DATABASE_URL.startswith("sqlite") else {"connect_timeout": 5}
        return {"hide_parameters": True, "connect_args": bounds}

    @property
    def RATELIMIT_STORAGE_URI(self) -> str:
        """Limits are counted in one place for all processes."""
        return self.REDIS_URL

    @property
    def METRICS_FOLDER(self) -> str | None:
        """Where several processes count together: a variable of prometheus_client, not of ours."""
        return os.environ.get("PROMETHEUS_MULTIPROC_DIR")

    @property
    def CELERY(self) -> dict[str, Any]:
        """Settings of Celery, times in seconds; app/core/celery.py has those that never change."""
        return {
            # The last two, because Celery prefers a variable of the environment to the first.
            "broker_url": self.CELERY_BROKER_URL,
            "broker_read_url": self.CELERY_BROKER_URL,
            "broker_write_url": self.CELERY_BROKER_URL,
            "result_backend": self.RESULT_BACKEND,
            "task_soft_time_limit": 540,
            "task_time_limit": 600,
            "worker_soft_shutdown_timeout": self.JOBS_STOP,
            "beat_schedule_filename": str(INSTANCE / "celerybeat-schedule"),
        }


class DevelopmentConfig(Config):
    """The laptop: what `make run` starts is on the two ports after PORT."""

    DEBUG: bool = True
    CELERY_BROKER_URL: BrokerURL = Field(
        default_factory=lambda data: f"redis://127.0.0.1:{data['PORT'] + 1}/0"
    )
    REDIS_URL: StoreURL = Field(
        default_factory=lambda data: f"redis://127.0.0.1:{data['PORT'] + 1}/1"
    )
    MAIL_PORT: Port = Field(default_factory=lambda data: data["PORT"] + 2)
    LOG_FILE: LogFile | None = INSTANCE / "logs" / "app.log"
    MAILBOX_PATH: ClassVar[Path | None] = INSTANCE / "mailbox"


class TestingConfig(Config):
    """Tests: `.env` is not read, and what a test has to choose has a default that shouts."""

    TESTING: ClassVar[bool] = True
    SECRET_KEY: Secret = "only-for-tests-secret-key"  # noqa: S105
    SECURITY_PASSWORD_SALT: Secret = "only-for-tests-salt"  # noqa: S105
    DATABASE_URL: DatabaseURL = "sqlite:////you-forgot-to-choose/a-database"
    CELERY_BROKER_URL: BrokerURL = "redis://you-forgot-to-start-a-broker/0"
    REDIS_URL: StoreURL = "memory://"
    MAIL_SERVER: str = "you-forgot-to-start-an-smtp-listener"
    RATELIMIT_ENABLED: ClassVar[bool] = False
    JOBS_LEASE: ClassVar[float] = 3.0
    JOBS_SWEEP: ClassVar[float] = 0.5
    JOBS_HINT_AGAIN: ClassVar[float] = 3.0
    JOBS_STOP: ClassVar[float] = 3.0
    SCHEDULE: ClassVar[dict[str, dict[str, str]]] = {}  # what a test sees is not the clock's choice
    SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS: ClassVar[dict[str, int]] = {  # as cheap as can be
        "argon2__time_cost": 1,
        "argon2__memory_cost": 64,
    }


class ProductionConfig(Config):
    """The internet: refuses to start with what is fine only on a laptop."""

    SESSION_COOKIE_NAME: ClassVar[str] = "__Host-session"
    SESSION_COOKIE_PATH: ClassVar[str] = "/"
    SESSION_COOKIE_SECURE: ClassVar[bool] = True
    REMEMBER_COOKIE_NAME: ClassVar[str] = "__Host-remember_token"
    REMEMBER_COOKIE_SECURE: ClassVar[bool] = True
    HSTS: ClassVar[bool] = True
    PREFERRED_URL_SCHEME: ClassVar[str] = "https"
    DATABASE_URL: DatabaseURL = ""
    CELERY_BROKER_URL: BrokerURL = ""
    REDIS_URL: StoreURL = ""
    MAIL_SERVER: str = ""
    MAIL_PORT: Port = 587

    _secrets = field_validator("SECRET_KEY", "SECURITY_PASSWORD_SALT")(random_enough)
    _database = field_validator("DATABASE_URL")(shared)
    _sender = field_validator("MAIL_DEFAULT_SENDER")(answerable)
    _readers = field_validator("ADMINS")(somebody)
    _hosts = field_validator("TRUSTED_HOSTS")(known_hosts)

    @field_validator("CELERY_BROKER_URL", "REDIS_URL", "MAIL_SERVER")
    @classmethod
    def _present(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith("memory:") and info.field_name == "CELERY_BROKER_URL":
            raise ValueError("is the memory of one process; no worker would see a task")
        return required(value)

    @field_validator("DEBUG")
    @classmethod
    def _off(cls, value: bool) -> bool:
        if value or flask_debug():
            raise ValueError("or FLASK_DEBUG is on; a debugger lets visitors run code")
        return value


CONFIG_TYPES: dict[str, type[Config]] = {
    f"config.{cls.__name__}": cls for cls in (DevelopmentConfig, TestingConfig, ProductionConfig)
}


def load(config_type: str | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the settings of the class `config_type`, by default the one `CONFIG_TYPE` names.

    Raises ConfigurationError, whose message names every variable that is wrong, but no value.
    """
    environment = {key: value for key, value in os.environ.items() if value}
    name = config_type or environment.get("CONFIG_TYPE")
    env_file = None if name == "config.TestingConfig" else BASE_DIR / ".env"
    environment = {**read_env_file(env_file), **environment}
    name = name or environment.get("CONFIG_TYPE") or "config.DevelopmentConfig"
    if name not in CONFIG_TYPES:
        raise ConfigurationError(
            f"CONFIG_TYPE is {name!r}, but must be one of {', '.join(CONFIG_TYPES)}."
        )
    chosen = CONFIG_TYPES[name]
    values = {**read_cfg_file(environment.get("CONFIG_FILE")), **(overrides or {})}
    folder = secrets_folder(environment.get("SECRETS_DIR"))
    try:
        settings = chosen(
            _env_file=None if chosen is TestingConfig else env_file,  # type: ignore[call-arg]
            _secrets_dir=folder,  # type: ignore[call-arg]
            **{key: value for key, value in values.items() if key in chosen.model_fields},
        )
    except ValidationError as error:
        raise ConfigurationError(explain(chosen.__name__, error)) from None
    except SettingsError as error:
        raise ConfigurationError(f"A file in {folder} cannot be read: {error}.") from None
    others = {key: value for key, value in values.items() if key not in chosen.model_fields}
    settings._others = host_cookies(others) if chosen is ProductionConfig else others
    return settings


if __name__ == "__main__":
    load()
    sys.stdout.write("The configuration can be used.\n")
