"""Brownouts ("provstopp"): an announced window in which the mail of those who have not chosen is held, and then released.

It shows them what the stop will be like, and costs nobody a mail. Asked for by one person, approved by another; anybody may pause it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Integer, Table, Text, insert, select, update

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import BadField, BrownoutOver, NotFound, SelfApproval

brownout_table = Table(
    "brownout",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Moment),
    Column("announced_at", Moment),
    Column("paused_by", Text),
    Column("paused_at", Moment),  # from then on nothing is held, and what is held is released
)

#: A test of the stop, not the stop.
LONGEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Brownout:
    """From `starts_at` until `ends_at` the campaign's unchosen customers' mail is held, but for what is important."""

    id: int
    campaign_id: int
    starts_at: datetime
    ends_at: datetime
    asked_by: str
    asked_at: datetime
    reason: str
    approved_by: str | None = None
    approved_at: datetime | None = None
    announced_at: datetime | None = None
    paused_by: str | None = None
    paused_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        approved = self.approved_at is not None and self.approved_at <= now
        paused = self.paused_at is not None and self.paused_at <= now
        return approved and not paused and self.starts_at <= now < self.ends_at


def ask_brownout(
    tx: Transaction, campaign_id: int, starts_at: datetime, ends_at: datetime, now: datetime, *, by: str, reason: str = "",
) -> Brownout:  # fmt: skip
    """Ask for a window; nothing happens before another person approves it. Raises BadField."""
    if not now < starts_at < ends_at:
        raise BadField(field="starts_at", reason="the window must begin after now and end after it begins")
    if ends_at - starts_at > LONGEST:
        raise BadField(field="ends_at", reason=f"the window may be {LONGEST // timedelta(hours=1)} hours long at most")
    values: dict[str, Any] = {
        "campaign_id": campaign_id, "starts_at": starts_at, "ends_at": ends_at, "asked_by": by, "asked_at": now,
        "reason": reason,
    }  # fmt: skip
    id = tx.execute(insert(brownout_table).values(**values).returning(brownout_table.c.id)).scalar_one()
    touch(tx)
    return Brownout(id=id, **values)


def approve_brownout(tx: Transaction, brownout_id: int, now: datetime, *, by: str) -> Brownout:
    """Approve what another has asked for. Raises NotFound, SelfApproval, and BrownoutOver when it is approved, paused or past."""
    brownout = get_brownout(tx, brownout_id)
    if by.casefold() == brownout.asked_by.casefold():
        raise SelfApproval(by=by)
    b = brownout_table.c
    open_ = (b.id == brownout_id, b.approved_at.is_(None), b.paused_at.is_(None), b.ends_at > now)
    if tx.execute(update(brownout_table).where(*open_).values(approved_by=by, approved_at=now)).rowcount != 1:
        raise BrownoutOver(brownout=brownout_id)
    touch(tx)
    return get_brownout(tx, brownout_id)


def pause_brownout(tx: Transaction, brownout_id: int, now: datetime, *, by: str) -> Brownout:
    """End it at once, also before it has begun: what it holds is released. Raises NotFound, and BrownoutOver when it is over."""
    b = brownout_table.c
    get_brownout(tx, brownout_id)
    open_ = (b.id == brownout_id, b.paused_at.is_(None), b.ends_at > now)
    if tx.execute(update(brownout_table).where(*open_).values(paused_by=by, paused_at=now)).rowcount != 1:
        raise BrownoutOver(brownout=brownout_id)
    touch(tx)
    return get_brownout(tx, brownout_id)


def mark_announced(tx: Transaction, brownout_id: int, now: datetime) -> bool:
    """Note that everyone concerned has been told. False when that was noted before: whoever comes second tells nobody."""
    b = brownout_table.c
    first = update(brownout_table).where(b.id == brownout_id, b.announced_at.is_(None)).values(announced_at=now)
    return tx.execute(first).rowcount == 1


def get_brownout(tx: Transaction, brownout_id: int) -> Brownout:
    """Raises NotFound."""
    if not (found := [one for one in load_brownouts(tx) if one.id == brownout_id]):
        raise NotFound(kind="brownout", name=str(brownout_id))
    return found[0]


def load_brownouts(tx: Transaction) -> list[Brownout]:
    """Every brownout there has been or will be, by when it starts."""
    names = list(Brownout.__dataclass_fields__)
    rows = tx.execute(select(brownout_table).order_by(brownout_table.c.starts_at, brownout_table.c.id))
    return [Brownout(**{name: getattr(row, name) for name in names}) for row in rows]
