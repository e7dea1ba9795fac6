"""The check of one domain: the zone, each record, and what follows from them together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ombud.domains.checks.asking import Asking, Source
from ombud.domains.checks.dmarc import judge_alignment, look_at_dmarc
from ombud.domains.checks.record import Look, look_at
from ombud.domains.checks.report import Looked, Report, State
from ombud.domains.checks.spf import advice_on_root, look_at_spf
from ombud.domains.checks.zone import Zone, look_at_zone
from ombud.domains.findings import Finding
from ombud.domains.names import is_free_mail
from ombud.mail.dmarc import is_public_suffix
from ombud.mail.records import Purpose, Record, Weight

#: What a domain without DMARC is told to publish: enough for every sender rule, and it stops nothing.
DMARC_VALUE = "v=DMARC1; p=none"


async def check(
    domain: str, records: Sequence[Record], source: Source, now: datetime, *, bulk: bool = False, keyless: bool = False,
    taken: bool = False,
) -> Report:  # fmt: skip
    """Look whether `domain` has the `records` that its mail needs, and at everything else in its DNS that mail hangs on.

    `bulk`: it sends so much that receivers demand DMARC. `keyless`: we are to sign its mail, and have no key for it. `taken`: it is
    another customer's. Asks and concludes, changes nothing,
    and never raises for what the network does: what nobody answers is `untestable`.
    """
    if finding := _not_theirs(domain, taken):
        return Report(domain, now, tuple(Looked(record, State.UNCHECKED) for record in records), (finding,))
    asking = Asking(source)
    zone = await look_at_zone(asking, domain)
    wanted = [*records, *_dmarc(domain, records, bulk)]
    if not zone.testable:
        untested = tuple(Looked(record, State.UNTESTABLE, at=now) for record in wanted)
        return Report(domain, now, untested, zone.findings, zone.name, zone.name_servers)
    report = await _checked(domain, wanted, asking.of_zone(zone.servers, zone.name), zone, now)
    if not keyless:
        return report
    return replace(report, findings=(*report.findings, Finding("dkim.no_key", {"domain": domain})))


def _not_theirs(domain: str, taken: bool) -> Finding | None:
    if is_public_suffix(domain):
        return Finding("domain.public_suffix", {"domain": domain})
    if is_free_mail(domain):
        return Finding("domain.freemail", {"domain": domain})
    return Finding("domain.claimed", {"domain": domain}) if taken else None


def _dmarc(domain: str, records: Iterable[Record], bulk: bool) -> list[Record]:
    if any(record.purpose is Purpose.DMARC for record in records):
        return []
    weight = Weight.REQUIRED if bulk else Weight.RECOMMENDED
    return [Record(Purpose.DMARC, "TXT", f"_dmarc.{domain}", DMARC_VALUE, weight)]


async def _checked(domain: str, wanted: Sequence[Record], asking: Asking, zone: Zone, now: datetime) -> Report:
    looks = [Look(record, asking, now) for record in wanted]
    dmarc = next(look for look in looks if look.record.purpose is Purpose.DMARC)
    others = [look for look in looks if look is not dmarc]
    (looked_dmarc, discovery), looked = await asyncio.gather(
        look_at_dmarc(dmarc), asyncio.gather(*(_look(look) for look in others))
    )
    general = [*zone.findings, *await _mail(asking, domain), *await judge_alignment(asking, dmarc, discovery, looked)]
    if not any(record.purpose is Purpose.SPF and record.name == domain for record in wanted):
        root = Look(Record(Purpose.SPF, "TXT", domain, "v=spf1 ~all", Weight.RECOMMENDED), asking, now)
        general += await advice_on_root(asking, domain, wanted, root)
    reached = any(not server.trouble for server in zone.servers)
    return Report(domain, now, (*looked, looked_dmarc), tuple(general), zone.name, zone.name_servers, reached)


async def _look(look: Look) -> Looked:
    if look.record.purpose is Purpose.SPF:
        return await look_at_spf(look)
    return await look_at(look)


async def _mail(asking: Asking, domain: str) -> list[Finding]:
    """Whether the domain exists for mail: receivers refuse senders to whom nothing can be answered."""
    about = {"domain": domain}
    if domain == asking.zone:
        alias = await asking.first(domain, "CNAME")
        if alias.found:
            return [Finding("dns.cname_apex", {**about, "found": alias.values[0]})]
    exchanges = await asking.first(domain, "MX")
    if exchanges.found:
        null = any(value.split()[-1] == "." for value in exchanges.values)  # RFC 7505 3
        return [Finding("dns.null_mx", {**about, "found": ", ".join(exchanges.values)})] if null else []
    if exchanges.unknown:
        return []
    for kind in ("A", "AAAA"):
        if not (await asking.first(domain, kind)).absent:
            return []
    return [Finding("dns.no_mail", about)]
