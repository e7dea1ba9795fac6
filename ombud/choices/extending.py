"""Extensions as they are kept: asked for, approved by another person, ended early; what has ended by itself needs no row to say so."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, Row, Select, Table, Text, insert, select, update

from ombud.accounts import Customer
from ombud.choices.campaign import Campaign, end_of
from ombud.choices.extension import Extension, ExtensionKind, ExtensionState
from ombud.db import Day, Identity, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import BadField, NotFound, PastLastExtension, SelfApproval, WrongState

extension_table = Table(
    "extension",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer, ForeignKey("campaign.id"), nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("until", Day, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", Moment),
    Column("ended_by", Text, nullable=False),
    Column("ended_at", Moment),
    Column("ended_why", Text, nullable=False),
)

#: Why a customer gets more time; the text beside the code says it in words.
REASON_CODES = {
    "waiting_for_supplier": "väntar på IT-leverantören",
    "waiting_for_microsoft": "väntar på Microsoft-administratören",
    "own_server_project": "bygger om sin e-post",
    "technical_problem": "tekniskt problem",
    "vendor_delay": "försenat hos oss",
    "merger": "bolagsförändring",
    "leaving": "lämnar tjänsten",
    "no_mail": "skickar ingen e-post",
    "other": "annat",
}


# --- reading -------------------------------------------------------------------------------------------------------


def load_extensions(tx: Transaction) -> list[Extension]:
    """All there ever were, in every campaign."""
    return _read(tx, select(extension_table).order_by(extension_table.c.id))


def extension_by_id(tx: Transaction, number: int) -> Extension:
    """Raises NotFound."""
    found = _read(tx, select(extension_table).where(extension_table.c.id == number))
    if not found:
        raise NotFound(kind="extension", name=number)
    return found[0]


# --- asking, approving, ending -------------------------------------------------------------------------------------


def ask_extension(
    tx: Transaction, campaign: Campaign, customer: Customer, kind: ExtensionKind, until: date, now: datetime, *,
    reason_code: str, reason: str, by: str,
) -> Extension:  # fmt: skip
    """Ask for more time for a customer, through the day `until`. It counts for nothing until another person approves it.

    Raises PastLastExtension, and BadField for a day that is over, an unknown reason code, an empty reason or name, or reserve
    mode in a campaign that has none.
    """
    _check(campaign, kind, until, now, reason_code)
    row = {
        "campaign_id": campaign.id, "customer_id": customer.id, "kind": kind, "until": until,
        "ends_at": end_of(until, campaign.zone), "reason_code": reason_code, "reason": _said("reason", reason),
        "asked_by": _said("by", by), "asked_at": now, "approved_by": "", "ended_by": "", "ended_why": "",
    }  # fmt: skip
    asked = tx.execute(insert(extension_table).values(**row).returning(extension_table)).one()
    touch(tx)
    return _extension(asked)


def approve_extension(tx: Transaction, campaign: Campaign, extension: Extension, by: str, now: datetime) -> Extension:
    """Let it count from now on. The last extension date is looked at again: it may have been moved since.

    Raises SelfApproval for the one who asked, WrongState when it is not waiting (any more), PastLastExtension.
    """
    by = _said("by", by)
    if by.casefold() == extension.asked_by.casefold():
        raise SelfApproval(by=by)
    if extension.state(now) is not ExtensionState.ASKED:
        raise WrongState(state=extension.state(now))
    _check(campaign, extension.kind, extension.until, now, extension.reason_code)
    return _move(tx, extension, now, approved_by=by, approved_at=now)


def end_extension(tx: Transaction, extension: Extension, by: str, reason: str, now: datetime) -> Extension:
    """End it now, before its last day; what only waits for approval is denied by it. Raises WrongState when it is over already."""
    if extension.state(now) not in (ExtensionState.ASKED, ExtensionState.IN_FORCE):
        raise WrongState(state=extension.state(now))
    return _move(tx, extension, now, ended_by=_said("by", by), ended_at=now, ended_why=_said("reason", reason))


def _check(campaign: Campaign, kind: ExtensionKind, until: date, now: datetime, reason_code: str) -> None:
    if until > campaign.last_extension_date:
        raise PastLastExtension(campaign=campaign.slug, last=campaign.last_extension_date)
    if end_of(until, campaign.zone) <= now:
        raise BadField(field="until", reason="that day is over")
    if kind is not ExtensionKind.RESERVE and until <= campaign.stop_date:
        raise BadField(field="until", reason=f"nothing is stopped until {campaign.stop_date}: give a later day")
    if kind is ExtensionKind.RESERVE and campaign.reserve is None:
        raise BadField(
            field="kind", reason=f"the campaign {campaign.slug} has no [campaigns.reserve], so no reserve mode"
        )
    if reason_code not in REASON_CODES:
        raise BadField(field="reason_code", reason=f"it must be one of {', '.join(REASON_CODES)}")


def _said(field: str, text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise BadField(field=field, reason="it must be a text that can be printed")
    return text.strip()


def _move(tx: Transaction, extension: Extension, now: datetime, **values: object) -> Extension:
    """Guarded by what it was: of two who approve or end it at once, one does, and the other is told."""
    c = extension_table.c
    same = (c.id == extension.id, c.approved_at.is_not_distinct_from(extension.approved_at), c.ended_at.is_(None))
    moved = tx.execute(update(extension_table).where(*same).values(**values).returning(extension_table)).one_or_none()
    if moved is None:
        raise WrongState(state=extension_by_id(tx, extension.id).state(now))
    touch(tx)
    return _extension(moved)


def _read(tx: Transaction, query: Select[Any]) -> list[Extension]:
    return [_extension(row) for row in tx.execute(query)]


def _extension(row: Row[Any]) -> Extension:
    return Extension(
        row.id, row.campaign_id, row.customer_id, ExtensionKind(row.kind), row.until, row.ends_at, row.reason_code,
        row.reason, row.asked_by, row.asked_at, row.approved_by, row.approved_at, row.ended_by, row.ended_at,
        row.ended_why,
    )  # fmt: skip
