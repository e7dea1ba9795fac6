"""The receivers' rules that a domain's DNS, its counters and its routes show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from ombud.dns import Answer, Ask, Authority
from ombud.domains.keys import Key, KeyState
from ombud.domains.volume import BulkSender
from ombud.mail import dmarc, spf
from ombud.mail.dkimrecord import Same, compare
from ombud.mail.rules import BULK, Judged, Receiver, Verdict, judged, skipped
from ombud.mail.spf.macro import validated_names

#: From so many in 24 hours the limit is near enough to tell the customer.
NEAR = int(BULK * 0.8)


class Lookup(Protocol):
    async def ask(self, name: str, kind: str) -> Answer: ...

    async def name_servers(self, domain: str) -> Authority: ...


@dataclass(frozen=True, slots=True)
class Way:
    """One of the ways that the domain's mail takes, as far as the rules ask. `envelope` is the domain of MAIL FROM; `include` what
    its SPF record must reach; `ip` the sending server's own address, where it is known; `tls`: None where nobody can tell."""

    slug: str
    signs: bool
    envelope: str
    include: str = ""
    ip: str = ""
    tls: bool | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """A domain with what is known of its sending."""

    domain: str
    keys: Sequence[Key] = ()
    ways: Sequence[Way] = ()
    volumes: Mapping[Receiver, int] = field(default_factory=dict)
    bulk: Sequence[BulkSender] = ()

    @property
    def is_bulk(self) -> bool:
        return bool(self.bulk) or any(number >= BULK for number in self.volumes.values())


async def check_sender(lookup: Lookup, sender: Sender) -> list[Judged]:
    """Every rule that can be told without a message. A name server that does not answer makes a rule unknown, never broken."""
    spf_ways = [await _spf(lookup.ask, way) for way in sender.ways or [Way("", False, sender.domain)]]
    spf_rule = _worst([one for one, _ in spf_ways])
    dkim_rule = await _dkim(lookup.ask, sender)
    found = await dmarc.discover(lookup.ask, sender.domain)
    return [
        _any(spf_rule.verdict, dkim_rule.verdict),
        _for_bulk(sender, spf_rule), _for_bulk(sender, dkim_rule), _for_bulk(sender, _dmarc(found)),
        *[_for_bulk(sender, one) for one in await _aligned(lookup.ask, sender, found, spf_ways, dkim_rule)],
        await _exists(lookup, sender.domain), *[await _ptr(lookup.ask, way) for way in sender.ways if way.ip],
        *_connections(sender), *_counters(sender),
    ]  # fmt: skip


def _any(*verdicts: Verdict) -> Judged:
    """One of them passes; while nobody knows of one, it is not said that none does."""
    if Verdict.PASS not in verdicts:
        for leaves_open in (Verdict.UNKNOWN, Verdict.NOT_TESTED):
            if leaves_open in verdicts:
                return skipped("AUTH-ANY", leaves_open)
    return judged("AUTH-ANY", Verdict.PASS in verdicts)


def _for_bulk(sender: Sender, one: Judged) -> Judged:
    """What only bulk senders are refused for is advice to the others."""
    if one.verdict is Verdict.FAIL and not sender.is_bulk:
        return Judged(one.rule, Verdict.ADVICE, one.detail)
    return one


def _worst(judgements: Sequence[Judged]) -> Judged:
    order = [Verdict.FAIL, Verdict.UNKNOWN, Verdict.ADVICE, Verdict.NOT_TESTED, Verdict.PASS]
    return min(judgements, key=lambda one: order.index(one.verdict))


# --- SPF, DKIM, DMARC ------------------------------------------------------------------------------------------------


async def _spf(ask: Ask, way: Way) -> tuple[Judged, bool]:
    """The rule, and whether SPF can be said to pass by this way."""
    if way.ip:
        verdict = await spf.check_host(ask, way.ip, way.envelope, f"x@{way.envelope}")
        if verdict.result is spf.Result.TEMPERROR:
            return skipped("AUTH-SPF", Verdict.UNKNOWN, way.envelope), False
        passes = verdict.result is spf.Result.PASS
        return judged("AUTH-SPF", passes, f"{way.envelope} for {way.ip}: {verdict.result}"), passes
    verdict = await spf.survey(ask, way.envelope)
    problems = verdict.problems()
    if any(code == "dns" for code, *_ in problems):
        return skipped("AUTH-SPF", Verdict.UNKNOWN, way.envelope), False
    if problems:
        code, domain, detail = problems[0]
        return judged("AUTH-SPF", False, f"{domain}: {code} {detail}".strip()), False
    targets = {step.target for _, step in verdict.tree.walk()}
    if not way.include:
        return skipped("AUTH-SPF", Verdict.NOT_TESTED, f"{way.envelope}: which servers send is not known"), False
    passes = way.include in targets
    detail = f"{way.envelope}: {verdict.lookups} lookups" + ("" if passes else f", include:{way.include} is not there")
    return judged("AUTH-SPF", passes, detail), passes


async def _dkim(ask: Ask, sender: Sender) -> Judged:
    signing = [key for key in sender.keys if key.state is KeyState.ACTIVE]
    if not any(way.signs for way in sender.ways) or not signing:
        return skipped(
            "AUTH-DKIM", Verdict.NOT_TESTED, "Ombud does not sign here; a proof shows whether the route does"
        )
    details = []
    for key in signing:
        answer = await ask(key.name, "TXT")
        if answer.unknown:
            return skipped("AUTH-DKIM", Verdict.UNKNOWN, key.name)
        compared = compare(answer.values, key.record)
        if compared.state is not Same.SAME:
            details.append(f"{key.name}: {compared.state}")
        elif compared.found and "weak" in compared.found.notes:
            details.append(f"{key.name}: {compared.found.bits} bits")
    return judged("AUTH-DKIM", not details, "; ".join(details) or ", ".join(key.selector for key in signing))


def _dmarc(found: dmarc.Discovery) -> Judged:
    if found.record:
        return judged("AUTH-DMARC", True, f"{found.found_at}: p={found.record.p}")
    if found.uncertain:
        return skipped("AUTH-DMARC", Verdict.UNKNOWN)
    several = [stop.domain for stop in found.stops if len(stop.texts) > 1]
    bad = [stop.domain for stop in found.stops if len(stop.texts) == 1]
    if several:
        return judged("AUTH-DMARC", False, f"{several[0]} has more than one")
    return judged("AUTH-DMARC", False, f"{bad[0]} has one that does not hold" if bad else "there is none")


async def _aligned(
    ask: Ask, sender: Sender, found: dmarc.Discovery, spf_ways: Sequence[tuple[Judged, bool]], dkim_rule: Judged
) -> list[Judged]:  # fmt: skip
    """By the ways that are known to pass; a way that nobody can judge leaves it open."""
    signed = [sender.domain] if dkim_rule.verdict is Verdict.PASS else []
    envelopes = [way.envelope for way, (_, passes) in zip(sender.ways, spf_ways, strict=False) if passes]
    by_spf = bool(envelopes)
    for envelope in envelopes:
        by = await dmarc.alignment(ask, found, envelope, [])
        by_spf = by_spf and by.spf and by.spf_by_list
    by_dkim = bool(signed)
    verdicts = {one.verdict for one, _ in spf_ways} | {dkim_rule.verdict}
    if not by_spf and not by_dkim and verdicts & {Verdict.UNKNOWN, Verdict.NOT_TESTED}:
        verdict = Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts else Verdict.NOT_TESTED
        return [skipped("AUTH-ALIGN", verdict), skipped("AUTH-ALIGN2", verdict)]
    words = {(True, True): "SPF and DKIM", (True, False): "SPF", (False, True): "DKIM"}.get((by_spf, by_dkim), "none")
    return [
        judged("AUTH-ALIGN", by_spf or by_dkim, words),
        judged("AUTH-ALIGN2", by_spf and by_dkim, words, otherwise=Verdict.ADVICE),
    ]


# --- the domain and its servers --------------------------------------------------------------------------------------


async def _exists(lookup: Lookup, domain: str) -> Judged:
    """Yahoo asks for the SOA of the domain; and a null MX (RFC 7505) says that no answer is wanted."""
    zone = await lookup.name_servers(domain)
    start = await lookup.ask(zone.zone, "SOA")
    exchanges = await lookup.ask(domain, "MX")
    if exchanges.unknown or start.unknown:
        return skipped("DOM-EXIST", Verdict.UNKNOWN)
    if exchanges.why == "nxdomain":
        return judged("DOM-EXIST", False, "the domain is not in DNS")
    if not start.found or start.aliases:
        return judged("DOM-EXIST", False, f"{zone.zone} has no SOA")
    return judged("DOM-EXIST", exchanges.values != ("0 .",), "a null MX" if exchanges.values == ("0 .",) else "")


async def _ptr(ask: Ask, way: Way) -> Judged:
    address = ip_address(way.ip)
    pointer = await ask(address.reverse_pointer, "PTR")
    if pointer.unknown:
        return skipped("NET-PTR", Verdict.UNKNOWN, way.ip)
    names = await validated_names(address, ask)
    said = ", ".join(pointer.values) or "no name"
    return judged("NET-PTR", bool(names), f"{way.ip}: {', '.join(names) or said + ', which does not lead back'}")


def _connections(sender: Sender) -> Iterator[Judged]:
    known = [way for way in sender.ways if way.tls is not None]
    if not known:
        yield skipped("NET-TLS", Verdict.NOT_TESTED)
    else:
        without = [way.slug for way in known if not way.tls]
        yield judged(
            "NET-TLS",
            not without,
            f"{', '.join(without)} does not demand it" if without else "",
            otherwise=Verdict.ADVICE,
        )
    # These two are for who connects to the receivers' servers itself; every way here leads by a provider who does.
    yield skipped("RATE-428", Verdict.NOT_FOR_YOU)
    yield skipped("CONN-MS", Verdict.NOT_FOR_YOU)


def _counters(sender: Sender) -> Iterator[Judged]:
    for id, receiver in (("VOL-GMAIL", Receiver.GMAIL), ("VOL-MS", Receiver.OUTLOOK)):
        number = sender.volumes.get(receiver, 0)
        since = next((one for one in sender.bulk if one.receiver is receiver), None)
        detail = f"{number} in 24 hours" + (
            f"; a bulk sender since {since.since:%Y-%m-%d} ({since.by})" if since else ""
        )
        yield judged(id, number < NEAR and since is None, detail, otherwise=Verdict.ADVICE)
    for id in ("CMP-RATE", "BNC-RATE", "UNS-48H"):
        yield skipped(id, Verdict.NOT_TESTED, "nothing has been reported back yet")
