"""The domains that are watched, as they are kept: one row for each, and what has happened to it, which only grows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    Row,
    Table,
    Text,
    case,
    delete,
    insert,
    or_,
    select,
    update,
)

from ombud.db import Identity, Json, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.domains.findings import Turn
from ombud.domains.table import domain_table
from ombud.domains.watch import Change, State, Watch, What, anew
from ombud.errors import NotFound, TooSoon
from ombud.mail.records import Weight

#: A domain that was looked at so lately is not looked at again because somebody presses a button.
LEAST = timedelta(seconds=15)
#: Whoever takes a domain to look at has so long; then another may.
LEASE = timedelta(minutes=10)

watch_table = Table(
    "domain_watch",
    metadata,
    Column("domain", Text, ForeignKey("domain.name"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", Moment),
    Column("checked_at", Moment),
    Column("next_at", Moment, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("moved_at", Moment),
    Column("stuck_told", Boolean, nullable=False),
    Column("stop_at", Moment),
    Column("answers", Text, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("doubtful", Boolean, nullable=False),
    Column("good", Json, nullable=False),
    Column("codes", Json, nullable=False),
    Column("turn", Text, nullable=False),
    Column("states", Json, nullable=False),
    Column("report", Json),  # the latest check, whole; NULL before the first
)

change_table = Table(
    "domain_change",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("domain", Text, nullable=False, index=True),  # kept when the domain is given up: it tells of what was
    Column("customer_id", Integer, nullable=False),
    Column("what", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("turn", Text, nullable=False),
    Column("codes", Json, nullable=False),
    Column("stop_at", Moment),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a domain stands: for campaigns, letters and the portal."""

    domain: str
    customer_id: int
    state: State
    since: datetime | None
    turn: Turn
    codes: tuple[str, ...]
    next_check: datetime | None
    stop_at: datetime | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A lost domain: when mail that needs its records stopped, and who asks for them (`Record.asked_by`)."""

    stop_at: datetime
    asked_by: frozenset[str]


# --- beginning and ending ----------------------------------------------------------------------------------------------


def start_watching(tx: Transaction, domain: str, now: datetime) -> None:
    """Look at the domain from now on, without end."""
    tx.execute(insert(watch_table).values(domain=domain, next_at=now, **_values(Watch(domain))))


def stop_watching(tx: Transaction, domain: str) -> None:
    tx.execute(delete(watch_table).where(watch_table.c.domain == domain))


def look_again(tx: Transaction, domain: str, now: datetime) -> None:
    """Look at the domain at once, and then often: for who says that something was done. Raises NotFound, and TooSoon when it
    was looked at just now."""
    watch = watch_of(tx, domain)
    if watch.checked_at and abs(now - watch.checked_at) < LEAST:  # processes' clocks differ by a little
        wait = min(LEAST - (now - watch.checked_at), LEAST)
        raise TooSoon(domain=domain, seconds=round(wait.total_seconds()) or 1)
    _store(tx, anew(watch, now))


# --- one round ---------------------------------------------------------------------------------------------------------


def something_due(tx: Transaction, now: datetime) -> bool:
    """Whether any domain is to be looked at: a question that keeps nobody from writing."""
    return tx.execute(select(watch_table.c.domain).where(_due(now)).limit(1)).first() is not None


def _due(now: datetime) -> ColumnElement[bool]:
    """A clock that was turned back must not put everything off: what was looked at in the future is due too."""
    return or_(watch_table.c.next_at <= now, watch_table.c.checked_at > now + timedelta(minutes=1))


def take_due(tx: Transaction, now: datetime, most: int) -> list[Watch]:
    """The domains that are to be looked at, longest overdue first, for this process alone."""
    table = watch_table.c
    rows = tx.execute(tx.skip_locked(select(watch_table).where(_due(now)).order_by(table.next_at).limit(most))).all()
    if rows:
        names = [row.domain for row in rows]
        lease = update(watch_table).where(table.domain.in_(names))
        sane = case((table.checked_at <= now, table.checked_at), else_=None)
        tx.execute(lease.values(next_at=now + LEASE, checked_at=sane))
    return [_watch(row) for row in rows]


def keep(tx: Transaction, watch: Watch, report: Mapping[str, Any], change: Change | None) -> bool:
    """Keep what a check came to. False when the domain has been given up meanwhile: then nothing is kept."""
    if not _store(tx, watch, report=report):
        return False
    if change:
        owner = select(domain_table.c.customer_id).where(domain_table.c.name == change.domain).scalar_subquery()
        values = {
            "what": change.what,
            "at": change.at,
            "turn": change.turn,
            "codes": list(change.codes),
            "stop_at": change.stop_at,
        }
        tx.execute(insert(change_table).values(domain=change.domain, customer_id=owner, **values))
    if change or watch.state is State.LOST:  # who asks for its records may be others now
        touch(tx)
    return True


def _store(tx: Transaction, watch: Watch, **more: object) -> bool:
    row = update(watch_table).where(watch_table.c.domain == watch.domain)
    return bool(tx.execute(row.values(next_at=watch.next_at, **_values(watch), **more)).rowcount)


def _values(watch: Watch) -> dict[str, Any]:
    names = (
        "state",
        "since",
        "checked_at",
        "tries",
        "moved_at",
        "stuck_told",
        "stop_at",
        "answers",
        "missed",
        "doubtful",
        "turn",
    )
    values = {name: getattr(watch, name) for name in names}
    return {**values, "good": sorted(watch.good), "codes": list(watch.codes), "states": list(watch.states)}


def _watch(row: Row[Any]) -> Watch:
    return Watch(
        row.domain, State(row.state), row.since, row.checked_at, row.next_at, row.tries, row.moved_at, row.stuck_told, row.stop_at,
        row.answers, row.missed, row.doubtful, frozenset(row.good), tuple(row.codes), Turn(row.turn), tuple(row.states),
    )  # fmt: skip


# --- asking ------------------------------------------------------------------------------------------------------------


def watch_of(tx: Transaction, domain: str) -> Watch:
    """Raises NotFound."""
    row = tx.execute(select(watch_table).where(watch_table.c.domain == domain)).one_or_none()
    if row is None:
        raise NotFound(kind="domain", name=domain)
    return _watch(row)


def report_of(tx: Transaction, domain: str) -> Mapping[str, Any] | None:
    """The latest check of the domain, as `checks.as_json` gave it; None before the first."""
    return reports_of(tx, [domain]).get(domain)


def reports_of(tx: Transaction, domains: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """The latest check of each, of those that have had one. One question for all."""
    table = watch_table.c
    rows = tx.execute(select(table.domain, table.report).where(table.domain.in_(domains)))
    return {row.domain: row.report for row in rows if row.report is not None}


def standings(tx: Transaction, customer_id: int | None = None) -> list[Standing]:
    """Where every domain stands, or every one of a customer's."""
    table = watch_table.c
    columns = (table.state, table.since, table.turn, table.codes, table.next_at, table.stop_at, table.checked_at)
    rows = select(domain_table.c.name, domain_table.c.customer_id, *columns).outerjoin(
        watch_table, table.domain == domain_table.c.name
    )
    if customer_id is not None:
        rows = rows.where(domain_table.c.customer_id == customer_id)
    return [
        Standing(
            row.name, row.customer_id, State(row.state or State.UNCHECKED), row.since, Turn(row.turn or Turn.WAIT),
            tuple(row.codes or ()), row.next_at, row.stop_at, row.checked_at,
        )
        for row in tx.execute(rows.order_by(domain_table.c.name))
    ]  # fmt: skip


def load_lost(tx: Transaction) -> Mapping[str, Lost | None]:
    """The domains whose records have been gone for so long that what needs them no longer leaves; and None for each domain
    below one of them that has proved itself apart, and so does not depend on it."""
    table = watch_table.c
    rows = tx.execute(select(table.domain, table.stop_at, table.report).where(table.state == State.LOST)).all()
    lost: dict[str, Lost | None] = {row.domain: Lost(row.stop_at, _askers(row.report)) for row in rows}
    others = tx.execute(select(table.domain).where(table.state != State.LOST)).scalars() if lost else ()
    return lost | {name: None for name in others if any(name.endswith(f".{above}") for above in lost)}


def _askers(report: Mapping[str, Any] | None) -> frozenset[str]:
    """Whoever asks for a required record: whatever was found of it, so that no answer, and no silence, changes it."""
    required = [one for one in (report or {}).get("records", ()) if one["weight"] == Weight.REQUIRED]
    return frozenset(asker for one in required for asker in one["asked_by"].split(", ") if asker)


def changes_of(tx: Transaction, domain: str, most: int = 100) -> list[Change]:
    """What has happened to the domain, newest first."""
    table = change_table.c
    rows = tx.execute(select(change_table).where(table.domain == domain).order_by(table.id.desc()).limit(most))
    return [Change(row.domain, What(row.what), row.at, Turn(row.turn), tuple(row.codes), row.stop_at) for row in rows]
