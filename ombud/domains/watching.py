"""Watching all domains: whichever are due are looked at, at the same time but never too many, and what came of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from ombud.accounts import load_directory
from ombud.db import Transaction
from ombud.dns import Answer
from ombud.domains.checks import Outcome, Report, Source, as_json, check
from ombud.domains.checks.asking import Asking
from ombud.domains.checks.zone import look_at_zone
from ombud.domains.claims import Claim, settle_claim, some_claim_due, take_due_claims
from ombud.domains.hostbook import load_hosts, note_unknown
from ombud.domains.watch import Change, State, Watch, outcome_of, step
from ombud.domains.watchlist import keep, something_due, take_due
from ombud.errors import ClaimNotSeen, DomainTaken
from ombud.mail.records import Record

log = structlog.get_logger("ombud.domains")

#: Domains looked at in one round, and at one time.
MOST, AT_ONCE = 100, 20
#: Seconds until a miss of what was in order is looked at once more, before it counts.
CONFIRM = 5.0


class Needed(Protocol):
    """What a domain needs; `ombud.needs.Needs` is one."""

    @property
    def records(self) -> Sequence[Record]: ...

    @property
    def keyless(self) -> bool: ...

    @property
    def bulk(self) -> bool: ...


class Run(Protocol):
    """Runs `verb(tx, ...)` in a transaction."""

    def __call__(self, verb: Any, /, *arguments: Any) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Nothing:
    """The needs of a domain that no way out asks anything of."""

    records: tuple[Record, ...] = ()
    keyless: bool = False
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Watching:
    """What watching needs. `most`: domains in one round. `needs` gives what each of the named domains needs now. `tell` is called for each change, in the
    transaction that keeps it, so that whatever it puts there is kept with it or not at all."""

    read: Run
    write: Run
    source: Source
    needs: Callable[[Transaction, Sequence[str], datetime], Mapping[str, Needed]]
    tell: Callable[[Transaction, Change], None] = field(default=lambda tx, change: None)
    confirm: float = CONFIRM
    most: int = MOST
    pace: float = (
        0.0  # seconds between the beginnings of two checks: each takes some 40 ms of a core that mail needs too
    )

    async def round(self, now: datetime) -> list[Change]:
        """Look at every domain and claim that is due. Never raises for what the network did."""
        if not await self.read(_anything_due, now):
            return []
        claims = await self.write(take_due_claims, now, self.most)
        due = await self.write(take_due, now, self.most)
        changes = await self._look_at(due, now) if due else []
        await asyncio.gather(*(self.look_for(claim, now) for claim in claims))
        return changes

    # --- domains ---

    async def _look_at(self, due: Sequence[Watch], now: datetime) -> list[Change]:
        needs = await self.read(self.needs, [watch.domain for watch in due], now)
        turn = asyncio.Semaphore(AT_ONCE)

        async def look(watch: Watch, after: float) -> Report:
            await asyncio.sleep(after)
            async with turn:
                return await self.checked(watch, needs.get(watch.domain, Nothing()), now)

        reports = await asyncio.gather(*(look(watch, n * self.pace) for n, watch in enumerate(due)))
        changes: list[Change] = await self.write(self._keep, list(zip(due, reports, strict=True)), now)
        for change in changes:
            log.info("domain_changed", domain=change.domain, what=change.what.value)
        return changes

    async def checked(self, watch: Watch, needed: Needed, now: datetime) -> Report:
        """One domain's check. What would be a miss is looked at a second time, and counts only if it still is one."""

        async def look() -> Report:
            return await check(watch.domain, needed.records, self.source, now, keyless=needed.keyless, bulk=needed.bulk)

        report = await look()
        if watch.state in (State.OK, State.AT_RISK) and outcome_of(watch, report) is Outcome.MISS:
            await asyncio.sleep(self.confirm)
            report = await look()
        return report

    async def keep(self, watch: Watch, report: Report, now: datetime) -> list[Change]:
        """Keep what one check came to."""
        kept: list[Change] = await self.write(self._keep, [(watch, report)], now)
        return kept

    def _keep(self, tx: Transaction, looked: Sequence[tuple[Watch, Report]], now: datetime) -> list[Change]:
        hosts, changes = load_hosts(tx), []
        for watch, report in looked:
            after, change = step(watch, report, now)
            if not keep(tx, after, as_json(report), change):
                continue
            if (
                watch.state is State.UNCHECKED
                and report.name_servers
                and not hosts.host_of(watch.domain, report.name_servers)
            ):
                note_unknown(tx, watch.domain, report.name_servers, now)
            if change:
                self.tell(tx, change)
                changes.append(change)
        return changes

    # --- claims ---

    async def look_for(self, claim: Claim, now: datetime) -> None:
        """Look for a claim's token; the domain is the customer's if it is there."""
        answers = await claim_answers(self.source, claim)
        try:
            if await self.write(_settle, claim, answers, now):
                log.info("domain_proved", domain=claim.domain)
        except (ClaimNotSeen, DomainTaken):
            return


def _anything_due(tx: Transaction, now: datetime) -> bool:
    return something_due(tx, now) or some_claim_due(tx, now)


async def claim_answers(source: Source, claim: Claim) -> Sequence[Answer]:
    """What each server of the claimed domain's zone says of the claim's record, and the resolver where none of them answers."""
    asking = Asking(source)
    zone = await look_at_zone(asking, claim.domain)
    views = await asking.of_zone(zone.servers, zone.name).everywhere(claim.record.name, "TXT")
    return views.servers if views.definite else (views.resolver,)


def _settle(tx: Transaction, claim: Claim, answers: Sequence[Answer], now: datetime) -> bool:
    return settle_claim(tx, claim, answers, load_directory(tx).customer_by_id(claim.customer_id), now)
