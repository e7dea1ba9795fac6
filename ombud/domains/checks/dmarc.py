"""Judges the DMARC that holds for a domain, and whether our mail will pass it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ombud.domains.checks.asking import Asking
from ombud.domains.checks.record import Look
from ombud.domains.checks.report import Looked, State
from ombud.domains.findings import Finding
from ombud.domains.hosts import default_dmarc_of
from ombud.mail import dmarc
from ombud.mail.records import Purpose, Weight

_PCT = re.compile(r"(?:^|;)\s*pct\s*=\s*(\d+)", re.IGNORECASE)


async def look_at_dmarc(look: Look) -> tuple[Looked, dmarc.Discovery]:
    """The `_dmarc` record: the domain's own, or that of the domain above which holds for it."""
    domain = look.record.name.removeprefix("_dmarc.")
    found = await dmarc.discover(look.asking.first, domain)
    views = await look.asking.everywhere(look.record.name, "TXT")
    here = found.stops[0] if found.stops else dmarc.Stop(domain, (), None)
    if found.record:
        above = found.found_at != domain
        answer = views.best if not above else await look.asking.first(f"_dmarc.{found.found_at}", "TXT")
        remarks = await _remarks(look, found, here)
        return look.looked(State.OK, answer, *remarks), found
    if found.uncertain or views.best.unknown:
        return look.looked(State.UNTESTABLE, views.best), found
    if len(here.texts) > 1:
        return look.wrong(State.CONFLICT, views, "dmarc.multiple", n=len(here.texts)), found
    if here.texts:
        return look.wrong(State.MISMATCH, views, "dmarc.syntax", reason=_what_is_wrong(here.texts[0])), found
    state, finding = await _elsewhere(look, domain)
    recommended = state is State.MISSING and look.record.weight is not Weight.REQUIRED
    return look.looked(
        State.RECOMMENDED if recommended else state, views.best, finding, sure=views.sure(views.best)
    ), found


def _what_is_wrong(text: str) -> str:
    return "p=" if not re.search(r";\s*p\s*=\s*(none|quarantine|reject)\b", text, re.IGNORECASE) else text[:40]


async def _elsewhere(look: Look, domain: str) -> tuple[State, Finding]:
    name, zone = look.record.name, look.asking.zone
    for found_at, code in ((f"{name}.{zone}", "dmarc.doubled_host"), (domain, "dmarc.at_apex")):
        answer = await look.asking.first(found_at, "TXT")
        if texts := dmarc.dmarc_texts(answer.values):
            return State.WRONG_HOST, look.finding(code, found_at=found_at, found=texts[0])
    return State.MISSING, look.finding("dmarc.missing", domain=domain)


async def _remarks(look: Look, found: dmarc.Discovery, here: dmarc.Stop) -> list[Finding]:
    """It is there and holds. What else is there to say of it?"""
    record = found.record
    assert record
    about = {"domain": found.domain, "found": record.text, "policy": found.policy}
    findings = []
    guess = next((name for target in here.aliases if (name := default_dmarc_of(target))), "")
    if guess:
        findings.append(look.finding("dmarc.host_cname", **{**about, "guess": guess, "found": here.aliases[0]}))
    elif found.policy == "none":
        findings.append(look.finding("dmarc.none_ok", **about))
    if pct := _PCT.search(record.text):
        findings.append(look.finding("dmarc.pct", n=pct[1], **about))
    if found.differs and found.found_at != found.domain:
        findings.append(look.finding("dmarc.org_differs", org_new=found.organisation, org_old=found.by_list, **about))
    return findings + await _unasked_reports(look.asking, look, found)


async def _unasked_reports(asking: Asking, look: Look, found: dmarc.Discovery) -> list[Finding]:
    """RFC 9990 4: whoever gets another's reports must have said yes in its own DNS."""
    assert found.record
    findings = []
    hosts = dict.fromkeys(uri.rpartition("@")[2].partition("!")[0].lower() for uri in found.record.rua)
    for host in list(hosts)[:4]:
        if dmarc.organisation_by_list(host) == dmarc.organisation_by_list(found.found_at):
            continue
        consent = f"{found.found_at}._report._dmarc.{host}"
        answer = await asking.ask(consent, "TXT")
        if answer.absent or (answer.found and not dmarc.dmarc_texts(answer.values)):
            findings.append(look.finding("dmarc.rua_unauthorised", target=host, other=consent, found=found.record.text))
    return findings


async def judge_alignment(
    asking: Asking, look: Look, found: dmarc.Discovery, records: Sequence[Looked]
) -> list[Finding]:
    """Whether what stands in DNS today lets our mail pass the domain's DMARC."""
    ours = [looked for looked in records if looked.record.purpose in (Purpose.DKIM, Purpose.RETURN_PATH, Purpose.SPF)]
    if not found.record or not ours or any(looked.state in (State.UNTESTABLE, State.UNCHECKED) for looked in ours):
        return []
    good = [looked for looked in ours if looked.state in (State.OK, State.PROPAGATING)]
    signing = [_signed_domain(looked.record.name) for looked in good if looked.record.purpose is Purpose.DKIM]
    envelopes = [looked.record.name for looked in good if looked.record.purpose is not Purpose.DKIM]
    aligned = await dmarc.alignment(asking.first, found, envelopes[0] if envelopes else "", signing)
    about = {"domain": found.domain, "policy": found.policy, "found": found.record.text}
    if not aligned.any and found.policy in ("reject", "quarantine"):
        return [look.finding("dmarc.strict_unaligned", **about)]
    if found.record.strict_spf and envelopes and not aligned.spf and aligned.dkim:
        return [look.finding("dmarc.aspf_strict", **about)]
    return []


def _signed_domain(name: str) -> str:
    """The d= that a selector's record is for."""
    return name.partition("._domainkey.")[2]
