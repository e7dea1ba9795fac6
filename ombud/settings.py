"""Every setting once: its name, type, default and help. `docs/settings.md` is made from this file.

They are read from the installation's `ombud.toml` (table by table, as the classes below) and from the environment, which
wins: `OMBUD_SMTP__STARTTLS_PORT=2587`. What a command was told itself (`--at`) wins over both. A name that does not exist is
an error, never silently ignored.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
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
        ge=0,
        description="Bytes that must stay free on the database's disk; below it new mail is refused with 452/507.",
    )

    @field_validator("database")
    @classmethod
    def _is_an_address(cls, database: str) -> str:
        if database and "://" not in database:
            raise ValueError("write it as sqlite:///FILE or postgresql://USER@HOST/NAME")
        urlsplit(database).port  # noqa: B018  (raises ValueError for a port that is no number)
        return database


class SmtpSettings(Section):
    """[smtp]: the submission door."""

    host: str = Field("127.0.0.1", description="The address to listen on.")
    starttls_port: int = Field(
        2587,
        ge=-1,
        le=65535,
        description="Submission with STARTTLS (587 where the process may bind it); 0: any free port; -1: closed.",
    )
    tls_port: int = Field(
        2465,
        ge=-1,
        le=65535,
        description="Submission with TLS from the first byte (465 where the process may bind it); 0 any, -1 closed.",
    )
    certificate: Path | None = Field(
        None,
        description="PEM file with the certificate chain; read again on SIGHUP. None: one is made in the installation.",
    )
    key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    max_size: int = Field(25 * MIB, ge=1, description="The largest message in bytes, as announced by SIZE.")
    max_recipients: int = Field(1000, ge=1, description="Recipients in one message; the next is answered 452 4.5.3.")
    max_connections: int = Field(2000, ge=1, description="Open connections in all; the next is answered 421 4.7.0.")
    max_connections_per_peer: int = Field(
        500, ge=1, description="Open connections from one address; the next is answered 421 4.7.0."
    )
    max_bytes_in_flight: int = Field(
        256 * MIB, ge=1, description="Message bytes being received at one time; above it MAIL is answered 452 4.3.1."
    )
    command_timeout: float = Field(300, gt=0, description="Seconds to wait for the next command (RFC 5321 4.5.3.2).")
    data_timeout: float = Field(180, gt=0, description="Seconds without a byte of a message's data.")
    message_timeout: float = Field(
        900, gt=0, description="Seconds that one message's data may take in all, however steadily it trickles."
    )
    max_auth_failures: int = Field(3, ge=1, description="Wrong passwords on one connection before it is closed.")
    max_errors: int = Field(20, ge=1, description="Bad commands on one connection before it is closed.")


class HttpSettings(Section):
    """[http]: the API's door."""

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8025, ge=0, le=65535, description="The port; 0: any free port.")
    max_body: int = Field(
        40 * MIB, ge=1, description="The largest request body in bytes (a 25 MiB attachment is 34 MiB in base64)."
    )
    public_url: str = Field(
        "", description="The address by which people reach this door, for links; empty: made of host and port."
    )


class DeliverySettings(Section):
    """[delivery]: the way out."""

    workers: bool = Field(True, description="Whether this process delivers. False: it only takes mail in.")
    signing_threads: int = Field(2, ge=1, description="Threads that sign; one for each core.")
    lease_seconds: int = Field(
        60, gt=0, description="A worker that has not been heard of for so long loses what it had leased."
    )
    max_in_flight: int = Field(400, ge=1, description="Messages in one worker's hands at a time.")
    max_bytes_in_flight: int = Field(64 * MIB, ge=1, description="Message bytes in one worker's hands at a time.")
    expire_after_hours: float = Field(
        120, ge=0, description="A recipient not reached in so long is given up as expired (RFC 5321 4.5.4.1: 4-5 days)."
    )
    min_attempts: int = Field(
        4, ge=0, description="Tries before a recipient can expire, so that a clock that jumps expires nothing."
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


class DnsSettings(Section):
    """[dns]: looking at the customers' domains, the vendor's own zone, and how keys are changed."""

    vendor_zone: str = Field(
        "",
        description="A zone of your own, such as `dkim.vendor.se`, that customers' domains point into with two CNAMEs, so that keys "
        "are changed without them. Empty: customers publish each key themselves.",
    )
    update_server: str = Field(
        "",
        description="The zone's primary server as `IP` or `IP:PORT`, when it takes dynamic updates (RFC 2136). Empty: load what "
        "`ombud dns zone` prints.",
    )
    update_key: str = Field("", description="The name of the TSIG key that the server knows us by.")
    update_algorithm: str = Field("hmac-sha256", description="The TSIG key's algorithm.")
    update_secret: str = Field(
        "", repr=False, description="The TSIG key's secret in base64; best given as OMBUD_DNS__UPDATE_SECRET."
    )
    settle_minutes: float = Field(
        60, ge=0, description="A new key takes over no sooner than this after every server of its zone shows it."
    )
    hold_days: float = Field(
        7,
        ge=0,
        description="So long after its last signature a key can still be verified; mail can be on its way for 5 days.",
    )
    rotate_days: int = Field(
        0, ge=0, description="Change a key in the vendor's zone when it is so old; 0: only when asked to."
    )
    connect_template: str = Field(
        "",
        description="Our Domain Connect template as `PROVIDER/SERVICE`; empty: nobody is offered to let their host do it.",
    )
    connect_key: Path | None = Field(None, description="PEM file with the RSA key that signs Domain Connect links.")
    connect_key_host: str = Field("_dcpubkeyv1", description="The name under which the key's public half is published.")
    watch: bool = Field(
        True, description="Whether this process looks at the domains' records. False: another one does."
    )
    authority_port: int = Field(
        53, ge=1, le=65535, description="Where the name servers of zones listen; another than 53 only in a sandbox."
    )


class ProofSettings(Section):
    """[proof]: the mailbox that probe messages are sent to, to see what their receiver says of them."""

    mailbox: str = Field(
        "", description="Its address, at a server that writes Authentication-Results; empty: no proofs."
    )
    maildir: Path | None = Field(
        None,
        description="The Maildir in which its mail lands. None: pipe each message to `ombud domains prove --read -`.",
    )
    server: str = Field(
        "",
        description="The name under which its server writes Authentication-Results; empty: the topmost field counts.",
    )
    automatic: bool = Field(
        True, description="Whether a chosen way that must be proved is proved by itself, once its records are in order."
    )
    wait_minutes: float = Field(60, ge=0, description="A probe message that has not come in so long is taken for lost.")


class NoticeSettings(Section):
    """[notices]: telling other systems, and writing to people."""

    tell: bool = Field(True, description="Whether this process tells. False: what is to be told waits for another.")
    private_addresses: bool = Field(
        False,
        description="Whether webhooks may be posted to the vendor's own network, and without TLS. Else: https on the open Internet only.",
    )
    timeout: float = Field(15.0, gt=0, description="Seconds that the receiver of a webhook may take to answer.")
    at_once: int = Field(5, ge=1, description="Posts to one webhook at a time; a slow receiver delays only its own.")
    ca_file: Path | None = Field(
        None, description="PEM file with the authorities trusted for webhooks; None: the system's."
    )


class LimitSettings(Section):
    """[limits]: what one customer may do."""

    messages_per_minute: int = Field(
        100_000, ge=1, description="Submissions a minute of one customer; above it 450 4.7.1 / 429."
    )
    idempotency_days: int = Field(7, ge=0, description="How long an Idempotency-Key is remembered.")


class PrivacySettings(Section):
    """[privacy]: how long what people have written is kept."""

    body_days: int = Field(
        7,
        ge=0,
        description="How long a message's bytes, and the values that its copies were made out with, are kept when its last "
        "recipient has come to a final state. What happened to it stays.",
    )


class ServiceCentreSettings(Section):
    """[service_centre]: where each choice becomes a case, beside Ombud's own register."""

    webhook: str = Field(
        "",
        description="The slug of the webhook that is told of every choice; its secret also signs what the service centre "
        "tells us at `/v1/hooks/cases`. Empty: none.",
    )
    mail: str = Field("", description="The address that gets a mail about every choice; empty: none.")


class BookkeepingSettings(Section):
    """[bookkeeping]: the accounts that invoices are booked on (SIE); the defaults are those of the BAS plan."""

    series: str = Field("F", pattern=r"^[A-Za-z0-9]{1,8}$", description="The voucher series.")
    receivable: int = Field(1510, ge=1000, le=9999, description="What the customers owe.")
    sales: int = Field(3041, ge=1000, le=9999, description="Sales with Swedish VAT.")
    sales_eu: int = Field(
        3308, ge=1000, le=9999, description="Sales to businesses in other EU countries (reverse charge)."
    )
    sales_exempt: int = Field(3044, ge=1000, le=9999, description="Sales without VAT.")
    vat_25: int = Field(2611, ge=1000, le=9999, description="Output VAT, 25 %.")
    vat_12: int = Field(2621, ge=1000, le=9999, description="Output VAT, 12 %.")
    vat_6: int = Field(2631, ge=1000, le=9999, description="Output VAT, 6 %.")


class LogSettings(Section):
    """[log]: what the operator sees."""

    format: str = Field(
        "auto",
        pattern="^(auto|text|json)$",
        description="`text` for people, `json` for programs; `auto`: text on a terminal.",
    )
    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="The least weight that is written.")


_PREFIX, _NESTED = "OMBUD_", "__"


class Settings(BaseSettings):
    """The whole. Build it with `load`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter=_NESTED, extra="forbid", frozen=True)

    service: ServiceSettings = ServiceSettings()
    smtp: SmtpSettings = SmtpSettings()
    http: HttpSettings = HttpSettings()
    delivery: DeliverySettings = DeliverySettings()
    dns: DnsSettings = DnsSettings()
    proof: ProofSettings = ProofSettings()
    notices: NoticeSettings = NoticeSettings()
    limits: LimitSettings = LimitSettings()
    privacy: PrivacySettings = PrivacySettings()
    service_centre: ServiceCentreSettings = ServiceCentreSettings()
    bookkeeping: BookkeepingSettings = BookkeepingSettings()
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
#: Those others, by name, so that a misspelt table is an error here too. (A test compares them with what `ombud apply` reads.)
APPLIED = (
    "vendor", "routes", "products", "customers", "domains", "dkim", "campaigns", "chosen_in", "chosen_live", "alternatives",
    "subprocessors", "price_plans", "webhooks",
)  # fmt: skip


def load(directory: Path, **overrides: dict[str, Any]) -> Settings:
    """Read the settings of the installation in `directory`. Raises Misconfigured, naming the setting.

    `overrides` are a command's own words, whole or partial tables that win over all else, such as `service={"at": ""}`.
    """
    _refuse_misspelt_variables()
    try:
        sources = (_read_tables(directory / "ombud.toml"), EnvSettingsSource(Settings)(), overrides)  # the last wins
        settings = Settings(**{name: _together(source.get(name, {}) for source in sources) for name in TABLES})
    except ValidationError as error:
        raise Misconfigured(reason=_in_words(error)) from error
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
    except OSError as error:
        raise Misconfigured(reason=f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(reason=f"{path.name}: {error}") from error
    known = TABLES + APPLIED
    for name in document:
        if name not in known:
            raise Misconfigured(reason=f"{path.name}: {name} is not known here; {known_names(name, known)}")
    return {name: value for name, value in document.items() if name in TABLES}


def _refuse_misspelt_variables() -> None:
    """The variables of a table that does not exist; those of tables that do are looked at with the tables."""
    for variable in os.environ:
        table, nested, _ = variable.removeprefix(_PREFIX).partition(_NESTED)
        if variable.startswith(_PREFIX) and nested and table.lower() not in TABLES:
            raise Misconfigured(
                reason=f"the environment: {variable} is not known here; {known_names(table.lower(), TABLES)}"
            )


def _in_words(error: ValidationError) -> str:
    """The first mistake, with its place."""
    first = error.errors()[0]
    table, *names = map(str, first["loc"])
    place = ".".join((table, *names))
    if first["type"] == "extra_forbidden":
        section: Any = Settings.model_fields[table].annotation
        return f"{place}: there is no such setting; {known_names(names[-1], section.model_fields)}"
    if first["type"] == "model_type":
        return f"{place}: it must be a table, [{place}]"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def known_names(name: str, known: Iterable[str]) -> str:
    """What to say of a name that does not exist: the one that was meant, if it is near, or all that there are."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
