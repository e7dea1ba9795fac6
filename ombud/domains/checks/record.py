"""Judges one record: is it there, is it right, and if not, which of the usual slips is it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ombud.clock import STOCKHOLM
from ombud.dns import Answer
from ombud.domains.checks.asking import Asking, Views
from ombud.domains.checks.keytext import judge_key
from ombud.domains.checks.report import Looked, State
from ombud.domains.findings import Finding, catalogue
from ombud.domains.hosts import supplier_of
from ombud.mail.records import Purpose, Record, relative
from ombud.mail.spf import spf_texts

CLAIM = "ombud-claim="


@dataclass(slots=True)
class Look:
    """One record being looked at: what to ask whom, and what every finding about it can say."""

    record: Record
    asking: Asking
    now: datetime
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        record = self.record
        name = relative(record.name, self.asking.zone)
        self.about |= {"name": record.name, "relative": name, "expected": record.value, "type": record.kind}

    @property
    def family(self) -> str:
        return {Purpose.OWNER: "claim", Purpose.SPF: "spf", Purpose.DMARC: "dmarc"}.get(
            self.record.purpose, self.record.purpose.value
        )

    def code(self, fault: str) -> str:
        """The finding of this fault for this kind of record; of the common kind where it has none of its own."""
        return next(
            code for code in (f"{self.family}.{fault}", f"record.{fault}", "record.mismatch") if code in catalogue()
        )

    def finding(self, code: str, **values: object) -> Finding:
        return Finding(code, {**self.about, **{name: str(value) for name, value in values.items()}}, self.record.name)

    def looked(self, state: State, answer: Answer, *findings: Finding, sure: bool = False) -> Looked:
        return Looked(
            self.record, state, answer.values, findings, answer.server, self.now, answer.ttl, self.record.value, sure
        )

    def wrong(self, state: State, views: Views, code: str, **values: object) -> Looked:
        """Not as it should be, and why."""
        best = views.best
        found = ", ".join(best.values)
        finding = self.finding(code, **{"found": found, "server": best.server, **values})
        return self.looked(state, best, finding, sure=views.sure(best))


async def look_at(look: Look) -> Looked:
    """Judge a record that is a CNAME or a TXT of its own: a key, the return path, a claim, or whatever a provider asks for."""
    alias = look.record.kind == "CNAME"
    views = await look.asking.everywhere(look.record.name, look.record.kind)
    if not alias and (views.best.aliases or views.best.why == "alias"):
        views = replace(views, servers=())  # it leads out of the zone: what counts is what a resolver finds at its end
    if views.best.unknown:
        return look.looked(State.UNTESTABLE, views.best)
    if views.split:
        return _split(look, views)
    return await (_alias(look, views) if alias else _text(look, views))


# --- aliases -----------------------------------------------------------------------------------------------------------


async def _alias(look: Look, views: Views) -> Looked:
    best = views.best
    if best.absent:
        return await _no_alias(look, views)
    target = best.values[0]
    if beside := await _beside(look, best):
        return look.wrong(State.CONFLICT, views, "dns.cname_conflict", found=f"CNAME {target}, {beside}")
    if target == look.record.value:
        return await _right_alias(look, views)
    return await _wrong_alias(look, views, target)


async def _right_alias(look: Look, views: Views) -> Looked:
    if propagating := _old_answer(look, views):
        return propagating
    finding = await _at_the_target(look)
    return look.looked(State.CONFLICT if finding else State.OK, views.best, *([finding] if finding else []))


async def _at_the_target(look: Look) -> Finding | None:
    """What is wrong at our end of the alias. An end that does not answer is not held against anyone."""
    record = look.record
    answer = await look.asking.ask(record.name, "TXT")
    if record.purpose is Purpose.DKIM and not answer.unknown and not record.spare:
        fault = judge_key(answer.values, record.text)
        return look.finding("dkim.target_missing") if fault and fault.breaks else None
    if record.purpose is Purpose.RETURN_PATH and not answer.unknown and not spf_texts(answer.values):
        return look.finding("rp.target_missing")
    return None


async def _wrong_alias(look: Look, views: Views, target: str) -> Looked:
    zone, expected = look.asking.zone, look.record.value
    if (await look.asking.ask(look.record.name, "TXT")).why == "loop":
        return look.wrong(State.MISMATCH, views, "dns.cname_loop", found=target)
    if target == f"{expected}.{zone}":
        return look.wrong(State.MISMATCH, views, look.code("zone_appended"))
    if await _by_wildcard(look, views):
        return look.wrong(State.MISMATCH, views, "dns.wildcard")
    if look.record.purpose is Purpose.DKIM and (guess := supplier_of(target)):
        return look.wrong(State.CONFLICT, views, "dkim.selector_taken", guess=guess)
    return look.wrong(State.MISMATCH, views, look.code("mismatch"))


async def _no_alias(look: Look, views: Views) -> Looked:
    """No CNAME is there. Something else may be; or it may be somewhere else."""
    texts = await look.asking.everywhere(look.record.name, "TXT")
    if texts.best.found and look.record.text:  # the key itself, instead of the alias for it, is as good
        return await _text(look, texts)
    if texts.best.found:
        if await _by_wildcard(look, texts):
            return look.wrong(State.MISMATCH, texts, "dns.wildcard")
        return look.wrong(State.MISMATCH, texts, look.code("type_wrong"), found_type="TXT")
    for kind in ("A", "AAAA"):
        addresses = await look.asking.everywhere(look.record.name, kind)
        if addresses.best.found:
            wildcard = await _by_wildcard(look, addresses)
            return look.wrong(State.MISMATCH, addresses, "dns.wildcard" if wildcard else look.code("proxied"))
    return await _elsewhere(look, views)


async def _beside(look: Look, alias: Answer) -> str:
    """Other records at the name of a CNAME, where there must be none (RFC 1034 3.6.2); "" for none. Only the server that gave the
    CNAME can tell: a resolver follows it."""
    if alias.server not in {server.address for server in look.asking.servers}:
        return ""
    for kind in ("TXT", "A", "MX"):
        answer = await look.asking.at(alias.server, look.record.name, kind)
        if answer.found and not answer.aliases:
            return f"{kind} {answer.values[0][:60]}"
    return ""


# --- texts -------------------------------------------------------------------------------------------------------------


async def _text(look: Look, views: Views) -> Looked:
    best = views.best
    if best.absent:
        return await _elsewhere(look, views)
    verdict = _key_verdict if look.record.purpose is Purpose.DKIM else _plain_verdict
    state, code, values = verdict(look, best.values)
    if state is not State.OK and await _by_wildcard(look, views):
        return look.wrong(State.MISMATCH, views, "dns.wildcard")
    if state is State.OK and (propagating := _old_answer(look, views)):
        return propagating
    if not code:
        return look.looked(state, best)
    return look.wrong(state, views, code, **values)


_Verdict = tuple[State, str, dict[str, object]]


def _key_verdict(look: Look, texts: Sequence[str]) -> _Verdict:
    wanted = look.record.text or (look.record.value if look.record.kind == "TXT" else "")
    if look.record.kind == "CNAME" and look.record.value in {text.strip('" ').lower().rstrip(".") for text in texts}:
        return State.MISMATCH, look.code("type_wrong"), {"found_type": "TXT"}
    fault = judge_key(texts, wanted)
    if fault is None:
        return State.OK, "", {}
    return State.MISMATCH if fault.breaks else State.OK, fault.code, dict(fault.values)


def _plain_verdict(look: Look, texts: Sequence[str]) -> _Verdict:
    wanted = look.record.value
    if any(_as_meant(text) == _as_meant(wanted) for text in texts):
        return State.OK, "", {}
    if look.record.purpose is Purpose.OWNER:
        claims = [text for text in texts if text.strip('" ').startswith(CLAIM)]
        fault = "mismatch" if claims else "missing"
        return State.MISMATCH if claims else State.MISSING, f"claim.{fault}", {"found": ", ".join(claims)}
    return State.MISMATCH, look.code("mismatch"), {}


def _as_meant(text: str) -> str:
    """A value without what panels and people put around it."""
    return " ".join(text.strip().strip('"').split()).removesuffix(".").lower()


# --- what can be with every record -----------------------------------------------------------------------------------------


async def _elsewhere(look: Look, views: Views) -> Looked:
    """The record is not where it should be: is it where people put it by mistake?"""
    record, zone = look.record, look.asking.zone
    if record.purpose in (Purpose.DKIM, Purpose.RETURN_PATH):
        for found_at, fault in _wrong_places(record, zone):
            answer = await look.asking.first(found_at, record.kind)
            if answer.found and (_is_meant(record, answer.values)):
                state = State.WRONG_HOST
                return look.wrong(state, views, look.code(fault), found_at=found_at, found=", ".join(answer.values))
    return look.wrong(State.MISSING, views, look.code("missing"))


def _wrong_places(record: Record, zone: str) -> Sequence[tuple[str, str]]:
    name = relative(record.name, zone)
    places = [(f"{record.name}.{zone}", "doubled_host"), (f"{name}.{record.name}", "doubled_host")]
    if record.purpose is Purpose.DKIM:
        # Without the underscored label, and at the domain itself.
        places += [(record.name.replace("._domainkey.", "."), "wrong_host"), (zone, "wrong_host")]
    return places


def _is_meant(record: Record, values: Sequence[str]) -> bool:
    if record.purpose is not Purpose.DKIM or record.kind == "CNAME":
        return record.value in values
    wanted = record.text or record.value
    return any(value.lower().startswith("v=dkim1") for value in values) and judge_key(values, wanted) is None


async def _by_wildcard(look: Look, views: Views) -> bool:
    """Whether a name beside it that nobody has made gets the same answer."""
    label = "x" + hashlib.sha256(look.record.name.encode()).hexdigest()[:15]
    beside = await look.asking.first(f"{label}.{look.record.name.partition('.')[2]}", views.kind)
    return beside.found and set(beside.values) == set(views.best.values)


def _split(look: Look, views: Views) -> Looked:
    """Servers of the zone contradict each other. The one that has it right is named first."""
    having = next((answer for answer in views.definite if look.record.value in answer.values), None)
    having = having or next(answer for answer in views.definite if answer.found)
    other = next(answer for answer in views.definite if set(answer.values) != set(having.values))
    names = {server.address: server.name for server in look.asking.servers}
    found = "; ".join(
        f"{names.get(answer.server, answer.server)}: {', '.join(answer.values) or '–'}" for answer in views.definite
    )
    finding = look.finding(
        "dns.split",
        server=names.get(having.server, having.server),
        other=names.get(other.server, other.server),
        found=found,
    )
    return look.looked(State.CONFLICT, having, finding)


def _old_answer(look: Look, views: Views) -> Looked | None:
    """The zone's servers have it, and the resolver still holds an answer from before."""
    old = views.resolver
    if not views.servers or old.unknown or not views.best.found or set(old.values) == set(views.best.values):
        return None
    if old.server and old.server == views.best.server:
        return None
    ttl = old.ttl or 0
    until = (look.now + timedelta(seconds=ttl)).astimezone(STOCKHOLM)
    finding = look.finding(
        "dns.propagating", until=until.strftime("%Y-%m-%d %H:%M"), server=views.best.server, other=old.server, ttl=ttl
    )
    return replace(look.looked(State.PROPAGATING, views.best, finding), ttl=ttl)
