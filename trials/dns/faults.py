"""Scripted fault sequences: what two name servers and a resolver do, check after check, beside what is true; and what watching makes
of it. Nothing that is there may ever be called lost, and what is really gone must be seen.

A source may be slow, broken, stale or lying for some checks. Any number of them may be silent; at most one at a time says what is
not true. (What all of a zone's own servers say is the truth: there is nothing else that DNS could mean.)
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ombud.dns import Answer, Authority, NameServer, Status, Zone
from ombud.domains.checks import check
from ombud.domains.watch import State, Watch, step
from ombud.mail.records import Purpose, Record

DOMAIN = "kund.example"
SERVERS = {"ns1": "192.0.2.1", "ns2": "192.0.2.2"}
SOURCES = (*SERVERS, "resolver")
STARTS = datetime(2024, 4, 16, 7, 0, tzinfo=UTC)
CHECKS = 24

_TARGET = "om1.k7.dkim.vendor.example"
_RECORD = Record(Purpose.DKIM, "CNAME", f"om1._domainkey.{DOMAIN}", _TARGET, spare=True)
_WITHOUT: dict[str, dict[str, list[str]]] = {
    DOMAIN: {"SOA": ["ns1.example. h.example. 1 1 1 1 300"], "NS": list(SERVERS), "MX": ["10 mx.example."], "TXT": ["v=spf1 ~all"]},
    f"_dmarc.{DOMAIN}": {"TXT": ["v=DMARC1; p=reject"]},
    _TARGET: {"TXT": ["v=DKIM1; p=x"]},
}  # fmt: skip
_THERE, _GONE = Zone({**_WITHOUT, _RECORD.name: {"CNAME": [_TARGET]}}), Zone(_WITHOUT)

WELL, SLOW, BROKEN, LYING = "well", "timeout", "servfail", "lying"


@dataclass(slots=True)
class Scripted:
    """A source of answers that does what the script says for this check."""

    there: bool = True
    doing: dict[str, str] = field(default_factory=dict)

    async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
        return await self._answer("resolver", name, kind)

    async def ask_at(self, server: str, name: str, kind: str) -> Answer:
        return await self._answer(next(one for one, at in SERVERS.items() if at == server), name, kind)

    async def name_servers(self, domain: str) -> Authority:
        why = self.doing["resolver"]
        if why in (SLOW, BROKEN):
            return Authority(domain, (), Status.UNKNOWN, why)
        return Authority(DOMAIN, tuple(NameServer(name, (at,)) for name, at in SERVERS.items()), Status.FOUND)

    async def _answer(self, source: str, name: str, kind: str) -> Answer:
        why = self.doing[source]
        if why in (SLOW, BROKEN):
            return Answer(name, kind, Status.UNKNOWN, why=why, server=source)
        zone = _THERE if self.there == (why != LYING) else _GONE
        return await zone.ask_at(SERVERS.get(source, "resolver"), name, kind)

    @property
    def telling(self) -> bool:
        """Whether this check can tell what is true: a resolver leads to the servers, two sources speak, and none of them lies."""
        honest = [source for source in SOURCES if self.doing[source] == WELL]
        return self.doing["resolver"] == WELL and len(honest) > 1 and LYING not in self.doing.values()


@dataclass(frozen=True, slots=True)
class Played:
    """One sequence: `false` says when something was called lost that was there, or back that was gone; `took` how many telling checks a real removal and
    a real return took to be seen, where there were any."""

    seed: int
    checks: int
    false: tuple[str, ...] = ()
    removed: bool = False  # really, and for at least two telling checks
    removal_took: int | None = None
    return_took: int | None = None


async def play(seed: int) -> Played:
    """Watch one domain through a sequence of checks, drawn from the seed."""
    dice = random.Random(seed)
    source, watch = Scripted(), Watch(DOMAIN)
    gone_at = dice.randrange(4, CHECKS) if dice.random() < 0.5 else None
    back_at = gone_at + dice.randrange(3, 12) if gone_at and dice.random() < 0.5 else None
    left, now, false = dict.fromkeys(SOURCES, 0), STARTS, list[str]()
    took: dict[str, int | None] = {"removal": None, "return": None}
    telling, removed = 0, False
    for n in range(CHECKS):
        there = gone_at is None or n < gone_at or (back_at is not None and n >= back_at)
        telling = 0 if there != source.there else telling
        source.there = there
        _draw(dice, source, left, n)
        telling += source.telling
        report = await check(DOMAIN, [_RECORD], source, now)
        removed |= not there and telling >= 2
        before, (watch, _) = watch.state, step(watch, report, now)
        now = watch.next_at or now
        missing = watch.state in (State.AT_RISK, State.LOST)
        was_missing = before in (State.AT_RISK, State.LOST)
        if there and missing and not was_missing:
            false.append(f"check {n}: {watch.state} by {source.doing}")
        if not there and was_missing and not missing:
            false.append(f"check {n}: back, though it is gone, by {source.doing}")
        if not there and missing and not was_missing:
            took["removal"] = telling
        if there and was_missing and not missing:
            took["return"] = telling
    return Played(seed, CHECKS, tuple(false), removed, took["removal"], took["return"])


def _draw(dice: random.Random, source: Scripted, left: dict[str, int], n: int) -> None:
    """What each source does at this check: what it did, for as long as that lasts, then something new. The first check is well."""
    for name in SOURCES:
        if n == 0:
            source.doing[name] = WELL
        elif left[name] > 0:
            left[name] -= 1
        else:
            liar = LYING in [source.doing[other] for other in SOURCES if other != name]
            choices, weights = [WELL, SLOW, BROKEN, LYING], [60, 14, 12, 0 if liar else 14]
            source.doing[name] = dice.choices(choices, weights)[0]
            # Flapping lasts one check, an outage some, a stale secondary for long.
            left[name] = dice.choice((0, 0, 0, 1, 2, 6)) if source.doing[name] != WELL else dice.choice((0, 1, 3))


def overdue(played: Sequence[Played]) -> list[int]:
    """The seeds whose real removal was not seen by the second telling check."""
    late = (one for one in played if one.removed or one.removal_took is not None)
    return [one.seed for one in late if one.removal_took is None or one.removal_took > 2]


async def play_all(number: int, first: int = 0) -> list[Played]:
    return [await play(seed) for seed in range(first, first + number)]
