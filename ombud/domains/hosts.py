"""The DNS hosts: who keeps a zone, told by its name servers, and how records are typed in that host's panel. The facts are in
`hosts.toml`; what an installation's operator has corrected or taught wins over them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ombud.errors import BadField
from ombud.mail.records import Record, relative

_STRING = 255  # octets of one character-string of a TXT (RFC 1035 3.3)


@dataclass(frozen=True, slots=True)
class Host:
    """One DNS host. `sure` says how well its ways are known: high, medium, low."""

    slug: str
    name: str
    suffixes: tuple[str, ...]
    panel: str = ""
    name_style: str = "relative"  # relative | whole
    apex: str = "@"  # "@" | "" | "whole"
    dot: bool = False
    long_txt: str = "auto"  # auto | split | short
    quotes: bool = False
    proxy: bool = False
    minutes: int | None = None
    dmarc_cname: str = ""
    steps_sv: str = ""
    steps_en: str = ""
    sure: str = "low"
    source: str = ""
    checked: date | None = None

    def keeps(self, server: str) -> bool:
        return any(_ends(server, suffix) for suffix in self.suffixes)


_CHOICES = {"name_style": ("relative", "whole"), "apex": ("@", "", "whole"), "long_txt": ("auto", "split", "short")}

#: What is said where the host is not known.
UNKNOWN = Host(
    "", "", (),
    steps_sv="Logga in där domänens DNS sköts och lägg till posterna. Lägger tjänsten själv till domänen efter namnet: skriv bara "
    "det som står före domänen.",
    steps_en="Log in where the domain's DNS is kept and add the records. If the service adds the domain after the name by itself: "
    "type only what stands before the domain.",
)  # fmt: skip


class Standing(StrEnum):
    """What the name servers say of a domain's use."""

    IN_USE = "in_use"
    PARKED = "parked"
    EXPIRED = "expired"


def make_host(values: Mapping[str, Any]) -> Host:
    """A host of plain values, as the file or an operator gives them. Raises BadField."""
    known = Host.__dataclass_fields__
    for name, value in values.items():
        if name not in known:
            raise BadField(field=name, reason=f"a DNS host has {', '.join(known)}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise BadField(field=name, reason=f"it must be one of {', '.join(map(repr, _CHOICES[name]))}")
    suffixes = tuple(str(one).lower().strip(".") for one in values.get("suffixes", ()))
    if not suffixes or any("." not in one for one in suffixes):
        raise BadField(
            field="suffixes", reason="name at least one ending of the host's name servers, such as loopia.se"
        )
    return Host(**{**values, "suffixes": suffixes})


def host_of(servers: Iterable[str], taught: Sequence[Host] = ()) -> Host | None:
    """The host that these name servers belong to: the one that most of them do. None when nobody knows."""
    votes: dict[str, int] = {}
    hosts = {host.slug: host for host in (*known_hosts(), *taught)}  # the taught ones last: they win
    for server in servers:
        for host in (*taught, *known_hosts()):
            if host.keeps(server):
                votes[host.slug] = votes.get(host.slug, 0) + 1
                break
    return hosts[max(votes, key=votes.__getitem__)] if votes else None


def standing_of(servers: Iterable[str]) -> Standing:
    """Whether the name servers are those of domains that have expired, or that somebody parks."""
    names = list(servers)
    for standing in (Standing.EXPIRED, Standing.PARKED):
        suffixes = _file()["standing"][standing.value]
        if names and all(any(_ends(name, suffix) for suffix in suffixes) for name in names):
            return standing
    return Standing.IN_USE


def supplier_of(target: str) -> str:
    """Which mail service a CNAME's target belongs to; "" when nobody knows."""
    suppliers: Mapping[str, str] = _file()["suppliers"]
    return next((name for suffix, name in suppliers.items() if _ends(target, suffix)), "")


def default_dmarc_of(target: str) -> str:
    """The host whose own default DMARC record is at `target`; "" for any other."""
    return next((host.name for host in known_hosts() if host.dmarc_cname and host.dmarc_cname in f"{target}."), "")


def _ends(name: str, suffix: str) -> bool:
    if "{n}" in suffix:
        pattern = re.escape(suffix).replace(r"\{n\}", r"\d+")
        return re.search(rf"(?:^|\.){pattern}$", name) is not None
    return name == suffix or name.endswith(f".{suffix}")


@cache
def known_hosts() -> tuple[Host, ...]:
    return tuple(make_host(entry) for entry in _file()["host"])


@cache
def _file() -> Mapping[str, Any]:
    return tomllib.loads(files("ombud.domains").joinpath("hosts.toml").read_text("utf-8"))


# --- typing records ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Typed:
    """A record as it is typed in one host's panel. `notes` are codes of what to mind; `TYPING_NOTES` has their words."""

    kind: str
    name: str
    value: str
    notes: tuple[str, ...] = ()


#: What to mind while typing, in both languages.
TYPING_NOTES = {
    "apex_empty": ("Lämna namnfältet tomt.", "Leave the name field empty."),
    "dot": ("Värdet ska sluta med en punkt.", "The value must end with a dot."),
    "proxy_off": ("Slå av proxyn (grått moln, DNS only).", "Turn the proxy off (grey cloud, DNS only)."),
    "quotes": (
        "Citattecknen hör till värdet i den här panelen.",
        "The quotation marks belong to the value in this panel.",
    ),
    "split": (
        "Värdet är delat i två delar. Skriv in det precis så, utan något i skarven.",
        "The value is split in two. Type it exactly so, with nothing at the joint.",
    ),
    "too_long": (
        "Panelen tar bara 255 tecken: be om en CNAME i stället, eller låt er DNS-tjänsts support lägga in posten.",
        "The panel takes only 255 characters: ask for a CNAME instead, or let your DNS service's support add the record.",
    ),
}


def typed(record: Record, zone: str, host: Host, value: str = "") -> Typed:
    """The record's fields as `host` wants them typed, in `zone`; `value` where another is to be published than the record's own."""
    value, notes = value or record.value, []
    name = relative(record.name, zone)
    if name == "@":
        name = zone if host.apex == "whole" else host.apex
        notes += ["apex_empty"] if not name else []
    elif host.name_style == "whole":
        name = record.name
    if record.kind == "TXT":
        value, more = _typed_text(value, host)
        notes += more
    else:
        value = f"{value}." if host.dot else value
        notes += [note for note, there in (("dot", host.dot), ("proxy_off", host.proxy)) if there]
    return Typed(record.kind, name, value, tuple(notes))


def _typed_text(value: str, host: Host) -> tuple[str, list[str]]:
    if len(value) > _STRING and host.long_txt == "short":
        return value, ["too_long"]
    if len(value) > _STRING and host.long_txt == "split":
        parts = (value[start : start + _STRING] for start in range(0, len(value), _STRING))
        return " ".join(f'"{part}"' for part in parts), ["split"]
    return (f'"{value}"', ["quotes"]) if host.quotes else (value, [])
