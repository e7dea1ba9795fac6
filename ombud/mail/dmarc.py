"""DMARC: the record of a domain, found by the tree walk, and whether a mail's domains align (RFC 9989).

Receivers of before 2026 find the organisational domain by the Public Suffix List (RFC 7489). Both ways are gone here, and a
`Discovery` says where they part. `ask` answers one DNS question (name, type).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from publicsuffixlist import PublicSuffixList

if TYPE_CHECKING:
    from ombud.dns import Answer

Ask = Callable[[str, str], Awaitable["Answer"]]

POLICIES = ("none", "quarantine", "reject")
MAX_QUERIES = 8  # RFC 9989 4.10
_ONE_LOWER = {"reject": "quarantine", "quarantine": "none", "none": "none"}
#: Tags of RFC 7489 that RFC 9989 has taken away (A.6, C.5.2); they do no harm.
_HISTORIC = ("pct", "rf", "ri")


@dataclass(frozen=True, slots=True)
class Record:
    """A DMARC record as it is understood. `p` is "none" where only `rua` makes it one (RFC 9989 4.10.1).

    `remarks` are what a receiver passes over: bad_policy, bad_subdomain_policy, historic_tag, bad_report_address, bad_alignment.
    """

    text: str
    p: str
    sp: str
    np: str
    testing: bool
    psd: str
    strict_dkim: bool
    strict_spf: bool
    rua: tuple[str, ...]
    ruf: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def applied(self) -> str:
        """What receivers of RFC 9989 do with mail that fails: `t=y` asks for one step less (4.7)."""
        return _ONE_LOWER[self.p] if self.testing else self.p


@dataclass(frozen=True, slots=True)
class Stop:
    """One name that was asked on the walk. `record` is None where there is none, or none that counts."""

    domain: str
    texts: tuple[str, ...]
    record: Record | None
    aliases: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What holds for one author domain. `organisation` is by the walk, `by_list` by the Public Suffix List.

    `policy` is the record's for this very domain: `p`, or `sp`/`np` where the record is above it; "" when there is no DMARC.
    `uncertain`: a server on the way did not answer, so nothing here counts against anybody.
    """

    domain: str
    stops: tuple[Stop, ...]
    organisation: str
    by_list: str
    record: Record | None
    found_at: str
    policy: str
    uncertain: bool

    @property
    def differs(self) -> bool:
        """Whether old and new receivers see different organisations."""
        return self.organisation != self.by_list and not self.uncertain


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which of a mail's authenticated domains vouch for its author domain; `by_list` as old receivers see it."""

    spf: bool
    dkim: bool
    spf_by_list: bool
    dkim_by_list: bool

    @property
    def any(self) -> bool:
        return self.spf or self.dkim

    @property
    def differs(self) -> bool:
        return (self.spf, self.dkim) != (self.spf_by_list, self.dkim_by_list)


# --- the record ----------------------------------------------------------------------------------------------------


def dmarc_texts(texts: Sequence[str]) -> list[str]:
    """Those of a name's TXT records that say they are DMARC records (RFC 9989 4.7: case-sensitive, and first)."""
    return [text for text in texts if re.match(r"\s*v\s*=\s*DMARC1\s*(?:;|\Z)", text)]


def parse(text: str) -> Record | None:
    """The record, read as receivers read it; None when it is none to them."""
    if not dmarc_texts([text]):
        return None
    tags = _tags(text)
    remarks = ["historic_tag" for name in _HISTORIC if name in tags][:1]
    rua, ruf = (_uris(tags.get(name, ""), remarks) for name in ("rua", "ruf"))
    p = tags.get("p", "").lower()
    if p not in POLICIES:
        remarks.append("bad_policy")
        if not rua:  # RFC 9989 4.10.1
            return None
        p = "none"
    sp = _policy(tags, "sp", p, remarks)
    for name in ("adkim", "aspf"):
        if tags.get(name, "r").lower() not in ("r", "s"):
            remarks.append("bad_alignment")
    return Record(
        text, p, sp, _policy(tags, "np", sp, remarks), tags.get("t", "").lower() == "y", tags.get("psd", "u").lower(),
        tags.get("adkim", "").lower() == "s", tags.get("aspf", "").lower() == "s", rua, ruf, tuple(dict.fromkeys(remarks)),
    )  # fmt: skip


def _tags(text: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    tags: dict[str, str] = {}
    for name, _, value in pairs:
        tags.setdefault(name.strip().lower(), value.strip())
    return tags


def _policy(tags: Mapping[str, str], name: str, otherwise: str, remarks: list[str]) -> str:
    value = tags.get(name, otherwise).lower()
    if value in POLICIES:
        return value
    remarks.append("bad_subdomain_policy")
    return otherwise


def _uris(value: str, remarks: list[str]) -> tuple[str, ...]:
    uris = [uri.strip() for uri in value.split(",") if uri.strip()]
    good = tuple(uri for uri in uris if re.match(r"mailto:[^@\s]+@[^@\s]+\.[^@\s]+", uri, re.IGNORECASE))
    if len(good) != len(uris):
        remarks.append("bad_report_address")
    return good


# --- finding it ----------------------------------------------------------------------------------------------------


async def discover(ask: Ask, domain: str) -> Discovery:
    """Walk up from `domain` (RFC 9989 4.10), and settle which record and which organisation hold for it."""
    stops = await walk(ask, domain)
    organisation = _organisation(domain, stops)
    by_list = organisation_by_list(domain)
    holds = next((stop for stop in _in_order(domain, organisation, stops) if stop.record), None)
    record = holds.record if holds else None
    policy = ""
    if record and holds:
        exists = holds.domain == domain or await _exists(ask, domain)
        policy = record.p if holds.domain == domain else record.sp if exists else record.np
    return Discovery(
        domain, tuple(stops), organisation, by_list, record, holds.domain if holds else "", policy,
        any(stop.unknown for stop in stops),
    )  # fmt: skip


async def walk(ask: Ask, domain: str) -> list[Stop]:
    """The names asked from `domain` upwards, at most eight of them (RFC 9989 4.10)."""
    stops: list[Stop] = []
    labels = domain.split(".")
    while labels and len(stops) < MAX_QUERIES:
        stop = await _stop(ask, ".".join(labels))
        stops.append(stop)
        if stop.record and (stop.record.psd == "n" or (stop.record.psd == "y" and len(stops) > 1)):
            break
        labels = labels[-7:] if len(labels) > 8 else labels[1:]
    return stops


async def organisation(ask: Ask, domain: str) -> str:
    """The organisational domain by the walk (RFC 9989 4.10.2)."""
    return _organisation(domain, await walk(ask, domain))


@lru_cache(maxsize=4096)  # asked for each mail to the great receivers, and of few senders
def organisation_by_list(domain: str) -> str:
    """The organisational domain by the Public Suffix List (RFC 7489 3.2); a public suffix itself is its own."""
    return str(_suffixes().privatesuffix(domain) or domain)


def is_public_suffix(domain: str) -> bool:
    """Whether anybody can register names directly under `domain`."""
    return bool(_suffixes().is_public(domain))


async def _stop(ask: Ask, domain: str) -> Stop:
    answer = await ask(f"_dmarc.{domain}", "TXT")
    texts = tuple(dmarc_texts(answer.values))
    # RFC 9989 4.10: more than one, and none counts
    record = parse(texts[0]) if len(texts) == 1 else None
    return Stop(domain, texts, record, answer.aliases, answer.why if answer.unknown else "")


def _organisation(domain: str, stops: Sequence[Stop]) -> str:
    having = [stop for stop in stops if stop.record]
    for stop in having:
        if stop.record and stop.record.psd == "n":
            return stop.domain
        if stop.record and stop.record.psd == "y" and stop.domain != domain:
            return ".".join(domain.split(".")[-stop.domain.count(".") - 2 :])
    return min(having, key=lambda stop: stop.domain.count("."), default=Stop(domain, (), None)).domain


def _in_order(domain: str, organisation: str, stops: Sequence[Stop]) -> list[Stop]:
    """RFC 9989 4.10.1: the author domain's, the organisation's, and the public suffix's above it; no other counts."""
    wanted = [domain, organisation, organisation.partition(".")[2]]
    return [stop for name in wanted for stop in stops if stop.domain == name]


async def _exists(ask: Ask, domain: str) -> bool:
    """RFC 9989 3.2.13: a name without MX, A and AAAA does not exist; unknown counts as existing."""
    for kind in ("MX", "A", "AAAA"):
        answer = await ask(domain, kind)
        if not answer.absent:
            return True
        if answer.why == "nxdomain":
            return False
    return False


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


# --- alignment -----------------------------------------------------------------------------------------------------


async def alignment(ask: Ask, found: Discovery, spf_domain: str, dkim_domains: Collection[str]) -> Alignment:
    """Whether `spf_domain` ("" when SPF did not pass) and any of `dkim_domains` (whose signatures passed) align with the author
    domain of `found` (RFC 9989 4.4)."""
    strict_spf, strict_dkim = (found.record.strict_spf, found.record.strict_dkim) if found.record else (False, False)

    async def by_walk(domain: str, strict: bool) -> bool:
        if domain == found.domain:
            return True
        return not strict and bool(domain) and await organisation(ask, domain) == found.organisation

    def by_list(domain: str, strict: bool) -> bool:
        if domain == found.domain:
            return True
        return not strict and bool(domain) and organisation_by_list(domain) == found.by_list

    dkim = False
    for domain in dkim_domains:
        dkim = dkim or await by_walk(domain, strict_dkim)
    return Alignment(
        await by_walk(spf_domain, strict_spf), dkim, by_list(spf_domain, strict_spf),
        any(by_list(domain, strict_dkim) for domain in dkim_domains),
    )  # fmt: skip
