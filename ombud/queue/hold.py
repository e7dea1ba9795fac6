"""Mail that is kept: who holds what, for how long, and what became of it. Each hold is one row that ends exactly once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, insert, select, tuple_, update
from sqlalchemy import func as sql

from ombud.db import Many, Moment, Transaction
from ombud.queue.origin import Origin
from ombud.queue.tables import hold_table, message_table, recipient_table

_h, _r, _m = hold_table.c, recipient_table.c, message_table.c
_BEGIN = Many(insert(hold_table), "recipient_id", "customer_id", "product_id", "sender_domain", "reason", "held_at")
# The business clock may have been set back since it began: then it ends as it began.
_at = bindparam("at", type_=Moment)
_END = Many(
    update(hold_table)
    .where(_h.recipient_id == bindparam("whose"), _h.ended_at.is_(None))
    .values(ended_at=case((_h.held_at > _at, _h.held_at), else_=_at), ended_as=bindparam("event")),
    "whose", "at", "event",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """How many recipients of a customer's mail from a product and a domain are held for a reason, and since when the first of them."""

    reason: str
    customer_id: int
    origin: Origin
    recipients: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of everything that was held for a reason in some time: `held` is the sum of the others."""

    held: int = 0
    still_held: int = 0
    released: int = 0
    expired: int = 0
    cancelled: int = 0
    suppressed: int = 0
    customers: int = 0


def begin_holds(tx: Transaction, holds: Sequence[tuple[int, str, datetime]]) -> None:
    """Note that recipients are held: (recipient, reason, when). In the transaction that holds them."""
    if not holds:
        return
    query = select(_r.id, _r.customer_id, _m.product_id, _m.header_from).join(message_table, _m.id == _r.message_id)
    rows = tx.execute(query.where(_r.id.in_([one[0] for one in holds])))
    whose = {row.id: (row.customer_id, *Origin.of(row.product_id, row.header_from)) for row in rows}
    _BEGIN.run(tx, [(id, *whose[id], reason, at) for id, reason, at in holds])


def end_holds(tx: Transaction, ends: Sequence[tuple[int, datetime, str]]) -> None:
    """Note that holds end: (recipient, when, by which event). In the transaction that ends them."""
    _END.run(tx, ends)


def held(tx: Transaction) -> list[Held]:
    """Everything that is held now, by reason, customer, product and sender domain."""
    by = (_h.reason, _h.customer_id, _h.product_id, _h.sender_domain)
    query = select(*by, sql.count(), sql.min(_h.held_at)).where(_h.ended_at.is_(None)).group_by(*by).order_by(*by)
    rows: Sequence[Any] = tx.execute(query).all()
    return [Held(reason, customer, Origin(product, domain), *rest) for reason, customer, product, domain, *rest in rows]


def held_ids(
    tx: Transaction, reason: str, customer_id: int, origins: Collection[Origin], limit: int, *, after: int = 0,
    held_before: datetime | None = None,
) -> list[tuple[int, Origin]]:  # fmt: skip
    """(Recipient, origin) of what is held for a reason, of these origins, the first accepted first, after the recipient `after`.

    With `held_before`: only those that have been held since before that moment.
    """
    query = (
        select(_h.recipient_id, _h.product_id, _h.sender_domain)
        .where(
            _h.ended_at.is_(None), _h.reason == reason, _h.customer_id == customer_id,
            tuple_(_h.product_id, _h.sender_domain).in_(origins),
            _h.recipient_id > after,
        )
        .order_by(_h.recipient_id)
        .limit(limit)
    )  # fmt: skip
    if held_before is not None:
        query = query.where(_h.held_at < held_before)
    return [(row.recipient_id, Origin(row.product_id, row.sender_domain)) for row in tx.execute(query)]


def prolong(tx: Transaction, ids: Collection[int], time: timedelta) -> None:
    """Give recipients so much time from now on to be delivered in: what was held was not being tried."""
    later = tx.now + time
    tx.execute(update(recipient_table).where(_r.id.in_(ids), _r.expires_at < later).values(expires_at=later))


def fate_of_held(
    tx: Transaction, reason: str, since: datetime, until: datetime, *, product_ids: Collection[int] | None = None
) -> Fate:
    """What became of the recipients that were held for a reason from `since` (inclusive) to `until` (exclusive)."""
    where = [_h.reason == reason, _h.held_at >= since, _h.held_at < until]
    if product_ids is not None:
        where.append(_h.product_id.in_(product_ids))
    ended: Sequence[Any] = tx.execute(select(_h.ended_as, sql.count()).where(*where).group_by(_h.ended_as)).all()
    count = {name or "still_held": number for name, number in ended}
    customers = tx.execute(select(sql.count(_h.customer_id.distinct())).where(*where)).scalar_one()
    return Fate(held=sum(count.values()), customers=customers, **count)


def held_by_customer(
    tx: Transaction, reason: str, since: datetime, until: datetime, product_ids: Collection[int]
) -> dict[int, tuple[int, int]]:
    """Customer -> (held, released) of the recipients that were held for a reason from `since` to `until` (exclusive)."""
    released = sql.sum(case((_h.ended_as == "released", 1), else_=0))
    query = (
        select(_h.customer_id, sql.count(), released)
        .where(_h.reason == reason, _h.held_at >= since, _h.held_at < until, _h.product_id.in_(product_ids))
        .group_by(_h.customer_id)
    )
    rows: Sequence[Any] = tx.execute(query).all()
    return {customer: (held, int(let_go)) for customer, held, let_go in rows}
