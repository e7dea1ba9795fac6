"""Choices as they are kept: a chain for each customer and campaign, in which every choice replaces the one before it.

Rows are only ever added. The chain's numbers have no gap and a unique constraint lets each be there once, so that of two
who choose at the same moment one makes the next link and the other is told: there is always at most one newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Row, Select, Table, Text, UniqueConstraint, select
from sqlalchemy import func as sql
from sqlalchemy.dialects import postgresql

from ombud.accounts import Customer
from ombud.accounts.people import Person
from ombud.choices.campaign import Campaign
from ombud.choices.choice import Choice, Shown
from ombud.db import Identity, Json, Moment, Transaction, metadata
from ombud.db.snapshot import touch
from ombud.errors import AlternativeNotOffered, BadField, CampaignEnded, ChoiceConflict, MayNotChoose, NotFound

choice_table = Table(
    "choice",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("campaign_id", Integer, ForeignKey("campaign.id"), nullable=False),
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("alternative", Text),  # NULL: withdrawn
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("person_id", Integer),  # of `person`, whose rows are never deleted
    Column("by_operator", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("shown_sha256", Text, ForeignKey("shown.sha256"), nullable=False),
    UniqueConstraint("campaign_id", "customer_id", "number"),
)

#: What was shown, once for all who were shown the same.
shown_table = Table(
    "shown",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("words", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("texts", Json, nullable=False),
)


# --- reading -------------------------------------------------------------------------------------------------------


def newest_choices(tx: Transaction) -> list[Choice]:
    """The newest of each customer and campaign, withdrawals too."""
    c = choice_table.c
    newest = select(c.campaign_id, c.customer_id, sql.max(c.number).label("number")).group_by(
        c.campaign_id, c.customer_id
    )
    chain = newest.subquery()
    of_it = (
        (c.campaign_id == chain.c.campaign_id) & (c.customer_id == chain.c.customer_id) & (c.number == chain.c.number)
    )
    return _read(tx, select(choice_table).join(chain, of_it))


def choices_of(tx: Transaction, campaign_id: int, customer_id: int) -> list[Choice]:
    """The customer's whole history in the campaign, the first first."""
    c = choice_table.c
    return _read(
        tx,
        select(choice_table).where(c.campaign_id == campaign_id, c.customer_id == customer_id).order_by(c.number),
    )


def choices_in(tx: Transaction, campaign_id: int) -> list[Choice]:
    """Every choice ever made in the campaign, the first first."""
    c = choice_table.c
    return _read(tx, select(choice_table).where(c.campaign_id == campaign_id).order_by(c.at, c.id))


def shown_of(tx: Transaction, choice: Choice) -> Shown:
    """What the one who chose was shown, verbatim."""
    row = tx.execute(select(shown_table).where(shown_table.c.sha256 == choice.shown_sha256)).one()
    return Shown(row.words, row.price, row.language, row.texts)


# --- choosing ------------------------------------------------------------------------------------------------------


def record_choice(
    tx: Transaction, campaign: Campaign, customer: Customer, alternative: str, shown: Shown, now: datetime, *,
    expected: int | None, person: Person | None = None, operator: str = "", reason: str = "", peer: str = "",
) -> Choice:  # fmt: skip
    """The customer goes by this alternative from now on: said by one of its people who may, or by an operator with a reason.

    `expected` is the id of the choice that whoever chose knew of and replaces (`choices.active(...)`); None: there was none.
    After the campaign's stop it is as possible as before.

    Raises ChoiceConflict when another choice was first, CampaignEnded, AlternativeNotOffered, MayNotChoose for a person of
    another customer or without the right, BadField for an operator without a name or a reason. Nothing is written then.
    """
    if campaign.end_at and now >= campaign.end_at:
        raise CampaignEnded(campaign=campaign.slug, end_date=campaign.end_date)
    if not campaign.alternative(alternative).offered:
        offered = ", ".join(one.slug for one in campaign.offered)
        raise AlternativeNotOffered(alternative=alternative, campaign=campaign.slug, offered=offered)
    who = _who(customer, person, operator, reason)
    return _link(tx, campaign, customer, alternative, shown, now, expected, {**who, "peer": peer})


def withdraw_choice(
    tx: Transaction, campaign: Campaign, customer: Customer, now: datetime, *, expected: int | None, operator: str, reason: str
) -> Choice:  # fmt: skip
    """An operator takes the customer's choice back, such as one made for the wrong company: nothing is chosen from here on.

    The history keeps it. Raises ChoiceConflict, BadField, and NotFound when nothing is chosen.
    """
    who = _who(customer, None, operator, reason)
    there = _newest(tx, campaign.id, customer.id)
    if there is None or there.withdrawn:
        raise NotFound(kind="choice of", name=customer.name)
    return _link(tx, campaign, customer, None, Shown("", "", customer.language), now, expected, {**who, "peer": ""})


def _who(customer: Customer, person: Person | None, operator: str, reason: str) -> dict[str, object]:
    if person is not None:
        name = f"{person.name} <{person.email}>"
        if person.customer_id != customer.id or not person.may_choose:
            raise MayNotChoose(person=name, customer=customer.name)
        return {"by": name, "person_id": person.id, "by_operator": False, "reason": ""}
    for field, text in (("by", operator), ("reason", reason)):
        if not text.strip() or not text.isprintable():
            raise BadField(field=field, reason="an operator who chooses for a customer says who they are and why")
    return {"by": operator.strip(), "person_id": None, "by_operator": True, "reason": reason.strip()}


def _link(
    tx: Transaction, campaign: Campaign, customer: Customer, alternative: str | None, shown: Shown, now: datetime,
    expected: int | None, who: Mapping[str, object],
) -> Choice:  # fmt: skip
    """Add the next link to the chain after the one that was expected. Raises ChoiceConflict when it is not the newest."""
    there = _newest(tx, campaign.id, customer.id)
    if expected != (there.id if there and not there.withdrawn else None) and not _is_withdrawal(there, expected):
        raise _conflict(campaign, customer, there)
    _keep_shown(tx, shown)
    row = {
        "campaign_id": campaign.id, "customer_id": customer.id, "number": there.number + 1 if there else 1,
        "alternative": alternative, "at": now, "campaign_version": campaign.version, "shown_sha256": shown.sha256, **who,
    }  # fmt: skip
    c = choice_table.c
    adding = postgresql.insert(choice_table).values(**row)  # the clause is SQLite's too
    added = tx.execute(
        adding.on_conflict_do_nothing(index_elements=[c.campaign_id, c.customer_id, c.number]).returning(choice_table)
    ).one_or_none()
    if added is None:  # someone made this link while we looked
        raise _conflict(campaign, customer, _newest(tx, campaign.id, customer.id))
    touch(tx)
    return _choice(added)


def _is_withdrawal(there: Choice | None, expected: int | None) -> bool:
    return there is not None and there.withdrawn and there.id == expected


def _conflict(campaign: Campaign, customer: Customer, there: Choice | None) -> ChoiceConflict:
    chosen = campaign.alternative(there.alternative).name[customer.language] if there and not there.withdrawn else "-"
    return ChoiceConflict(customer=customer.name, by=there.by if there else "-", alternative=chosen)


def _keep_shown(tx: Transaction, shown: Shown) -> None:
    row = {
        "sha256": shown.sha256, "words": shown.words, "price": shown.price, "language": shown.language,
        "texts": dict(shown.texts),
    }  # fmt: skip
    tx.execute(
        postgresql.insert(shown_table).values(**row).on_conflict_do_nothing(index_elements=[shown_table.c.sha256])
    )


def _newest(tx: Transaction, campaign_id: int, customer_id: int) -> Choice | None:
    c = choice_table.c
    query = select(choice_table).where(c.campaign_id == campaign_id, c.customer_id == customer_id)
    found = _read(tx, query.order_by(c.number.desc()).limit(1))
    return found[0] if found else None


def _read(tx: Transaction, query: Select[Any]) -> list[Choice]:
    return [_choice(row) for row in tx.execute(query)]


def _choice(row: Row[Any]) -> Choice:
    return Choice(
        row.id, row.campaign_id, row.customer_id, row.number, row.alternative or "", row.at, row.by, row.person_id,
        row.by_operator, row.reason, row.peer, row.campaign_version, row.shown_sha256,
    )  # fmt: skip
