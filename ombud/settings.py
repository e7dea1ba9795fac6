"""Every setting once: its name, type, default and help. `docs/settings.md` is made from this file.

They are read from the installation's `ombud.toml` (table by table, as the classes below) and from the environment, which
wins: `OMBUD_SMTP__STARTTLS_PORT=2587`. What a command was told itself (`--at`) wins over both. A name that does not exist is
an error, never silently ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ombud.errors import Misconfigured

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceSettings(Section):
    """[service]: what the installation is called and where it keeps things."""

    name: str = Field(
        "localhost", description="The host name that this service says it has: in EHLO, in Message-IDs, in links."
    )
    database: str = Field(
        "", description="`sqlite:///FILE` or `postgresql://...`; empty: `ombud.db` in the installation's directory."
    )
    unsafe: bool = Field(
        False,
        description="Start even though the database would lose accepted mail in a power cut. For tests of speed only.",
    )
    at: str = Field(
        "", description="A moment (Stockholm time if it has no offset) that the clock is turned to; empty: now."
    )
    at_since: str = Field(
        "",
        description="The real moment at which the clock showed `at`, so that processes agree; empty: when each one starts.",
    )
    min_free: int = Field(
        256 * MIB,
        description="Bytes that must stay free on the database's disk; below it new mail is refused with 452/507.",
    )


class SmtpSettings(Section):
    """[smtp]: the submission door."""

    host: str = Field("127.0.0.1", description="The address to listen on.")
    starttls_port: int = Field(
        2587, description="Submission with STARTTLS (587 where the process may bind it); 0: any free port; -1: closed."
    )
    tls_port: int = Field(
        2465,
        description="Submission with TLS from the first byte (465 where the process may bind it); 0 any, -1 closed.",
    )
    certificate: Path | None = Field(
        None,
        description="PEM file with the certificate chain; read again on SIGHUP. None: one is made in the installation.",
    )
    key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    max_size: int = Field(25 * MIB, description="The largest message in bytes, as announced by SIZE.")
    max_recipients: int = Field(1000, description="Recipients in one message; the next is answered 452 4.5.3.")
    max_connections: int = Field(2000, description="Open connections in all; the next is answered 421 4.7.0.")
    max_connections_per_peer: int = Field(
        500, description="Open connections from one address; the next is answered 421 4.7.0."
    )
    max_bytes_in_flight: int = Field(
        256 * MIB, description="Message bytes being received at one time; above it MAIL is answered 452 4.3.1."
    )
    command_timeout: float = Field(300, description="Seconds to wait for the next command (RFC 5321 4.5.3.2).")
    data_timeout: float = Field(180, description="Seconds without a byte of a message's data.")
    message_timeout: float = Field(
        900, description="Seconds that one message's data may take in all, however steadily it trickles."
    )
    max_auth_failures: int = Field(3, description="Wrong passwords on one connection before it is closed.")
    max_errors: int = Field(20, description="Bad commands on one connection before it is closed.")


class HttpSettings(Section):
    """[http]: the API's door."""

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8025, description="The port; 0: any free port.")
    max_body: int = Field(
        40 * MIB, description="The largest request body in bytes (a 25 MiB attachment is 34 MiB in base64)."
    )
    public_url: str = Field(
        "", description="The address by which people reach this door, for links; empty: made of host and port."
    )


class DeliverySettings(Section):
    """[delivery]: the way out."""

    workers: bool = Field(True, description="Whether this process delivers. False: it only takes mail in.")
    signing_threads: int = Field(2, description="Threads that sign; one for each core.")
    lease_seconds: int = Field(
        60, description="A worker that has not been heard of for so long loses what it had leased."
    )
    max_in_flight: int = Field(400, description="Messages in one worker's hands at a time.")
    max_bytes_in_flight: int = Field(64 * MIB, description="Message bytes in one worker's hands at a time.")
    expire_after_hours: float = Field(
        120, description="A recipient not reached in so long is given up as expired (RFC 5321 4.5.4.1: 4-5 days)."
    )
    min_attempts: int = Field(
        4, description="Tries before a recipient can expire, so that a clock that jumps expires nothing."
    )
    unknown: str = Field(
        "resend",
        pattern="^(resend|hold)$",
        description="What to do when the answer to a final dot was lost: `resend` (same bytes, after 5 minutes) or `hold`.",
    )
    dns_servers: list[str] = Field([], description="Name servers as `IP` or `IP:PORT`; empty: those of the system.")
    ca_file: Path | None = Field(
        None, description="PEM file with the authorities trusted for next hops; None: the system's."
    )
    bind_address: str = Field(
        "", description="The local address that connections go out from; empty: the system chooses."
    )


class LimitSettings(Section):
    """[limits]: what one customer may do."""

    messages_per_minute: int = Field(
        100_000, description="Submissions a minute of one customer; above it 450 4.7.1 / 429."
    )
    idempotency_days: int = Field(7, description="How long an Idempotency-Key is remembered.")


class LogSettings(Section):
    """[log]: what the operator sees."""

    format: str = Field(
        "auto",
        pattern="^(auto|text|json)$",
        description="`text` for people, `json` for programs; `auto`: text on a terminal.",
    )
    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="The least weight that is written.")


class Settings(BaseSettings):
    """The whole. Build it with `load`."""

    model_config = SettingsConfigDict(env_prefix="OMBUD_", env_nested_delimiter="__", extra="forbid", frozen=True)

    service: ServiceSettings = ServiceSettings()
    smtp: SmtpSettings = SmtpSettings()
    http: HttpSettings = HttpSettings()
    delivery: DeliverySettings = DeliverySettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` has put them together already


#: The tables of ombud.toml that are settings; the others are read by `ombud apply`.
TABLES = tuple(Settings.model_fields)


def load(directory: Path, **overrides: dict[str, Any]) -> Settings:
    """Read the settings of the installation in `directory`. Raises Misconfigured, naming the setting.

    `overrides` are a command's own words, whole or partial tables that win over all else, such as `service={"at": ""}`.
    """
    try:
        sources = (_read_tables(directory / "ombud.toml"), EnvSettingsSource(Settings)(), overrides)  # the last wins
        settings = Settings(**{name: _together(source.get(name, {}) for source in sources) for name in TABLES})
    except ValidationError as error:
        first = error.errors()[0]
        raise Misconfigured(reason=f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except SettingsError as error:
        raise Misconfigured(reason=f"the environment: {error}") from error
    if not settings.service.database:
        service = settings.service.model_copy(update={"database": f"sqlite:///{(directory / 'ombud.db').resolve()}"})
        settings = settings.model_copy(update={"service": service})
    return settings


def _together(tables: Iterable[Any]) -> Any:
    """One table of several; what is no table is handed on, to be refused by name."""
    whole: dict[str, Any] = {}
    for table in tables:
        if not isinstance(table, dict):
            return table
        whole |= table
    return whole


def _read_tables(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(reason=f"{path.name}: {error}") from error
    return {name: value for name, value in document.items() if name in TABLES}
