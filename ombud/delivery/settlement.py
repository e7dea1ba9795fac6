"""What the worker writes: leases taken, sendings committed, and what became of each recipient with all that is counted by it.

Each verb does one thing to many pieces in one transaction (`db/group.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ombud import queue, usage
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.delivery.prepare import Reserve
from ombud.domains.volume import count_volume
from ombud.mail.dmarc import organisation_by_list
from ombud.mail.rules import Receiver, receiver_of
from ombud.providers.provider import Outcome, Result
from ombud.queue import Change, Changed, Lease, Mail, State
from ombud.routing import Counts, Facts, Route, count_outcomes
from ombud.usage import Counted, HandOver, Tally

#: What is counted of the outcomes that are not handed over (those the meter counts).
_COUNTED = {
    State.DEFERRED: Counted.RETRIED,
    State.FAILED: Counted.FAILED,
    State.EXPIRED: Counted.FAILED,
    State.HELD: Counted.HELD,
}


@dataclass(frozen=True, slots=True)
class Want:
    """A question to the queue: this many due recipients of that route."""

    worker: str
    route_id: int
    most: int
    served_last: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of some recipients of one message, to be written in one transaction with its usage."""

    worker: str
    changes: Sequence[Change]
    mail: Mail | None = None
    route: Route | None = None
    switch_id: int | None = None  # the switch that brought it here, while it is watched
    switch_counts: Counts = Counts()
    #: Of the recipients at receivers who count their senders' mail: the sender's organisation, and which receiver.
    great: Mapping[int, tuple[str, Receiver]] = field(default_factory=dict)


def watched_switch(facts: Facts, mail: Mail, route: Route, now: datetime) -> int | None:
    """The switch that brought this mail to this route, while its failures are counted."""
    for switch in facts.switches_of.get(mail.customer_id, ()):
        if switch.to_route_id == route.id and switch.concerns(mail.product_id) and switch.watched(now):
            return switch.id
    return None


def counted(outcomes: Sequence[Outcome]) -> Counts:
    """A recipient refused for good, and a route that is itself at fault; a recipient's "not now" says nothing of the route."""
    delivered = sum(outcome.result is Result.DELIVERED for outcome in outcomes)
    failed = sum(outcome.result is Result.FAILED or outcome.route_fault for outcome in outcomes)
    return Counts(delivered, failed)


def at_great_receivers(mail: Mail, leases: Sequence[Lease], reserve: Reserve | None) -> dict[int, tuple[str, Receiver]]:
    """Those of the recipients whose receiver counts its senders' mail, with the organisation that it counts them for."""
    found = {
        lease.recipient_id: receiver
        for lease in leases
        if (receiver := receiver_of(lease.address.rpartition("@")[2].lower()))
    }
    if not found:
        return {}
    sender = reserve.address if reserve else mail.header_from
    organisation = organisation_by_list(sender.rpartition("@")[2].lower())
    return {id: (organisation, receiver) for id, receiver in found.items()}


# --- verbs ---------------------------------------------------------------------------------------------------------


def lease_all(tx: Transaction, wants: Sequence[Want]) -> list[list[Lease]]:
    return [queue.lease(tx, want.worker, want.route_id, want.most, want.served_last) for want in wants]


def lease_suspects(tx: Transaction, wants: Sequence[tuple[str, Sequence[int]]]) -> list[list[Lease]]:
    return [queue.lease_suspect(tx, worker, route_ids) for worker, route_ids in wants]


def commit_all(tx: Transaction, pieces: Sequence[Sequence[tuple[int, int]]]) -> list[list[bool]]:
    fits = iter(queue.commit_sending(tx, [pair for piece in pieces for pair in piece]))
    return [[next(fits) for _ in piece] for piece in pieces]


def settle_all(tx: Transaction, settlements: Sequence[Settlement]) -> list[list[Changed]]:
    """The verb of outcomes: state, attempt, event and usage commit or fail together."""
    changes = [change for settlement in settlements for change in settlement.changes]
    changed = iter(queue.change_all(tx, changes))
    results = [[next(changed) for _ in settlement.changes] for settlement in settlements]
    told = [
        (one.mail, one.route, change, done.now)
        for one, result in zip(settlements, results, strict=True)
        if one.mail and one.route
        for change, done in zip(one.changes, result, strict=True)
    ]
    usage.meter(
        tx,
        [
            HandOver(change.recipient_id, mail.customer_id, mail.product_id, route.id, route.billable, change.at)
            for mail, route, change, now in told
            if now is State.DELIVERED
        ],
    )
    usage.add_tallies(
        tx,
        [
            Tally(day_of(change.at), mail.customer_id, mail.product_id, route.id, _COUNTED[now], 1)
            for mail, route, change, now in told
            if now in _COUNTED
        ],
    )
    great = {id: who for one in settlements for id, who in one.great.items()}
    count_volume(
        tx,
        [
            (*great[change.recipient_id], change.at)
            for _, _, change, now in told
            if now is State.DELIVERED and change.recipient_id in great
        ],
    )
    by_switch: dict[int, Counts] = {}
    for one in settlements:
        if one.switch_id is not None:
            by_switch[one.switch_id] = by_switch.get(one.switch_id, Counts()) + one.switch_counts
    count_outcomes(tx, settlements[0].worker, by_switch)
    return results
