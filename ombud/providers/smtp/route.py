"""The settings of an SMTP route: read from a plain table, checked once, wrong or unknown ones refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_address

from ombud.errors import BadField
from ombud.mail.smtp.login import Login

IMPLICIT_TLS_PORT, SUBMISSION_PORT = 465, 587  # RFC 8314 3.3, RFC 6409 3.1


class Tls(StrEnum):
    """How the connection is protected. In all but NONE the password goes over TLS or not at all."""

    REQUIRED = "required"  # STARTTLS, and the certificate must be valid for `host`
    REQUIRED_UNVERIFIED = (
        "required_unverified"  # STARTTLS with whatever certificate: safe from listeners, not from impostors
    )
    OPPORTUNISTIC = "opportunistic"  # STARTTLS if offered, unverified; else in the clear (RFC 7435)
    IMPLICIT = "implicit"  # TLS from the first byte (RFC 8314), certificate verified
    NONE = "none"  # in the clear, password and all: only to loopback addresses, or with `allow_clear`


@dataclass(frozen=True, slots=True)
class SmtpRoute:
    """Where and how to hand over mail. The times are in seconds, with the least that RFC 5321 4.5.3.2 asks for as defaults."""

    host: str
    port: int = SUBMISSION_PORT
    tls: Tls = Tls.REQUIRED
    allow_clear: bool = False  # let tls = "none" go beyond this machine
    ca_file: str = ""  # PEM with the authorities to trust instead of the system's
    user: str = ""  # "": no AUTH
    password: str = field(default="", repr=False)
    auth: str = "auto"  # plain | login | auto
    hello: str = ""  # the name to give in EHLO; "": the service's
    bind: str = ""  # the local IP address to send from; "": any
    connections: int = 10
    messages_per_connection: int = 500
    recipients_per_message: int = 100  # RFC 5321 4.5.3.1.8: every server takes as many
    idle_seconds: float = 30
    connect_seconds: float = 30
    command_seconds: float = 300
    data_seconds: float = 180
    dot_seconds: float = 600
    # What the sender's domain needs in DNS for mail that leaves here:
    spf_include: str = ""  # the domain whose SPF record lists the server; "": nothing is asked of SPF
    return_path: str = (
        ""  # the label of the subdomain that the envelope gets, such as `studs`; "": the sender's own domain
    )
    return_path_target: str = ""  # the name that the subdomain is to be a CNAME of: with SPF, and an MX for bounces
    dkim_selectors: tuple[str, ...] = ()  # what the server signs with itself, in the domain's name
    dns_records: tuple[str, ...] = ()  # other records, each `NAME TYPE VALUE`; {domain} stands for the domain

    @classmethod
    def from_dict(cls, table: Mapping[str, object], password: str = "") -> SmtpRoute:
        """Read the settings of a route. Raises BadField, naming the field, when one is unknown, missing or wrong."""
        route = cls.of_settings(table, password)
        _check_login(route)
        return route

    @classmethod
    def of_settings(cls, table: Mapping[str, object], password: str = "") -> SmtpRoute:
        """`from_dict` for who has the settings without the password, and will not log in. Raises BadField."""
        known = {f.name for f in fields(cls)} - {"password"}
        for name in table:
            if name not in known:
                raise BadField(field=name, reason="there is no such setting of an SMTP route")
        values = {name: _CHECKS[name](name, value) for name, value in table.items()}
        if "host" not in values:
            raise BadField(field="host", reason="it is missing")
        if values.get("tls") is Tls.IMPLICIT:
            values.setdefault("port", IMPLICIT_TLS_PORT)
        route = cls(**values, password=password)  # type: ignore[arg-type]  # each value was checked by its field's own check
        if bool(route.return_path) != bool(route.return_path_target):
            missing = "return_path_target" if route.return_path else "return_path"
            raise BadField(field=missing, reason="return_path and return_path_target are set together")
        return route

    @property
    def login(self) -> Login | None:
        return Login(self.user, self.password, self.auth) if self.user else None


def _check_login(route: SmtpRoute) -> None:
    if route.user and not route.password:
        raise BadField(field="password", reason="a user needs one")
    if route.password and not route.user:
        raise BadField(field="user", reason="a password needs one")
    try:
        _ = route.login
    except ValueError as error:
        raise BadField(field="user", reason=str(error)) from error


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise BadField(field=name, reason="it must be a printable text")
    return value


# A name without spaces, or an IP address: what can be looked up, and what can stand in EHLO.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")


def _host(name: str, value: object) -> str:
    text = _text(name, value)
    if not _HOST.fullmatch(text):
        _address(name, text, "it must be a host name (in ASCII form) or an IP address")
    return text.rstrip(".")


def _hello(name: str, value: object) -> str:
    text = _text(name, value)
    return _host(name, text) if text else ""


def _bind(name: str, value: object) -> str:
    text = _text(name, value)
    return _address(name, text, "it must be an IP address of this machine") if text else ""


def _address(name: str, text: str, reason: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise BadField(field=name, reason=reason) from error


def _one_of(*choices: str) -> _Check:
    def check(name: str, value: object) -> str:
        if value not in choices:
            raise BadField(field=name, reason=f"it must be one of {', '.join(choices)}")
        return str(value)

    return check


def _tls(name: str, value: object) -> Tls:
    return Tls(str(_one_of(*Tls)(name, value)))


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadField(field=name, reason="it must be true or false")
    return value


def _count(least: int, most: int) -> _Check:
    def check(name: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadField(field=name, reason=f"it must be a whole number from {least} to {most}")
        return value

    return check


def _seconds(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 3600:
        raise BadField(field=name, reason="it must be a number of seconds above 0, up to 3600")
    return float(value)


def _domain_name(name: str, value: object) -> str:
    text = _text(name, value)
    return _host(name, text).lower() if text else ""


def _label(name: str, value: object) -> str:
    text = _text(name, value).lower()
    if text and not _LABELS.fullmatch(text):
        raise BadField(field=name, reason="it must be the beginning of a name, such as studs")
    return text


_LABELS = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*", re.ASCII)


def _texts(name: str, value: object) -> tuple[str, ...]:
    """A list of texts, or one text with commas, as `--set` has it."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise BadField(field=name, reason="it must be a list of texts")
    return tuple(_text(name, one) for one in value)


def _selectors(name: str, value: object) -> tuple[str, ...]:
    return tuple(_label(name, one) for one in _texts(name, value))


def _records(name: str, value: object) -> tuple[str, ...]:
    for one in (found := _texts(name, value)):
        parts = one.split(None, 2)
        if len(parts) != 3 or parts[1] not in ("CNAME", "TXT", "MX") or not parts[0].endswith("{domain}"):
            raise BadField(
                field=name, reason=f"{one[:60]} is not `NAME.{{domain}} TYPE VALUE` with the type CNAME, TXT or MX"
            )
    return found


_Check = Callable[[str, object], object]

_CHECKS: dict[str, _Check] = {
    "host": _host,
    "port": _count(1, 65535),
    "tls": _tls,
    "allow_clear": _switch,
    "ca_file": _text,
    "user": _text,
    "auth": _one_of("auto", "plain", "login"),
    "hello": _hello,
    "bind": _bind,
    "connections": _count(1, 1000),
    "messages_per_connection": _count(1, 1_000_000),
    "recipients_per_message": _count(1, 1000),
    "idle_seconds": _seconds,
    "connect_seconds": _seconds,
    "command_seconds": _seconds,
    "data_seconds": _seconds,
    "dot_seconds": _seconds,
    "spf_include": _domain_name,
    "return_path": _label,
    "return_path_target": _domain_name,
    "dkim_selectors": _selectors,
    "dns_records": _records,
}
