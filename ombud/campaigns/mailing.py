"""A campaign's letters for real: what they are planned from is read in a handful of questions, and what is planned is put."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Column, Table, Text, delete, insert, select

from ombud.accounts import Directory
from ombud.accounts.links import Link, Scope, first_uses, use_once, used_by
from ombud.accounts.people import Person, Role, load_people
from ombud.accounts.vendor import load_vendor
from ombud.campaigns.cadence import snoozed_until
from ombud.campaigns.letters import Known, Order, Past, Volume
from ombud.campaigns.presenting import load_volumes
from ombud.campaigns.stages import Reach
from ombud.choices import Campaign, Choices, ExtensionKind
from ombud.clock import day_of
from ombud.db import Moment, Transaction, metadata
from ombud.errors import TooLateToPause
from ombud.notices.letters import Writer, first_arrivals, last_letters
from ombud.seal import Seal
from ombud.settings import Settings
from ombud.usage import Counted, tallies

#: Campaigns whose letters the service sends by itself when they are due. For the others a person looks first, each time.
automatic_table = Table(
    "automatic_letters",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("by", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("on", Boolean, nullable=False),
)

_SNOOZED = "snoozed"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Snooze:
    """What asking to be left alone came to."""

    until: date
    before: bool  # it was asked for before, and that stands


# --- what is known -------------------------------------------------------------------------------------------------


def load_reach(tx: Transaction, campaign: str) -> dict[int, Reach]:
    """What has come of writing to each customer about the campaign."""
    arrived = first_arrivals(tx, campaign)
    opened = first_uses(tx, Scope.CHOOSE, campaign)
    for customer, at in first_uses(tx, Scope.SNOOZE, campaign).items():
        opened[customer] = min(at, opened.get(customer, at))
    bounced = _without_a_living_contact(load_people(tx))
    customers = arrived.keys() | opened.keys() | bounced
    return {one: Reach(arrived.get(one), opened.get(one), one in bounced) for one in customers}


def _without_a_living_contact(people: Iterable[Person]) -> set[int]:
    """Customers whose every contact's letters come back."""
    alive: defaultdict[int, list[bool]] = defaultdict(list)
    for person in people:
        if person.customer_id is not None and (person.may_choose or person.role is Role.CONTACT):
            alive[person.customer_id].append(person.bounced_at is None)
    return {customer for customer, found in alive.items() if not any(found)}


def load_known(
    tx: Transaction, campaign: Campaign, directory: Directory, choices: Choices, now: datetime, *,
    orders: Mapping[int, Order] | None = None,
) -> Known:  # fmt: skip
    """All that letters are planned from, beside the standings."""
    return Known(
        customers={one.id: one for one in directory.customers.values()},
        people=load_people(tx),
        past=load_past(tx, campaign),
        last_days=last_days(campaign, choices),
        volumes=_volumes(tx, campaign, now),
        chosen={customer: choice.alternative for customer, choice in choices.active_in(campaign.id).items()},
        orders=orders or {},
        product_names=tuple(directory.product_by_id(product).name for product in campaign.products),
    )


def load_past(tx: Transaction, campaign: Campaign) -> Past:
    snoozed = used_by(tx, Scope.SNOOZE, campaign.slug, _SNOOZED)
    until = {person: date.fromisoformat(answer["until"]) for person, answer in snoozed.items()}
    return Past(last_letters(tx, campaign.slug), until)


def last_days(campaign: Campaign, choices: Choices) -> dict[int, date]:
    """The last day of each customer that has, or had, more time than the others."""
    found: dict[int, date] = {}
    for one in choices.extensions_in(campaign.id):
        granted = one.approved_at is not None and one.kind is not ExtensionKind.EXEMPTION
        until = min(one.until, day_of(one.ended_at)) if one.ended_at else one.until
        if granted and until > campaign.stop_date:
            found[one.customer_id] = max(until, found.get(one.customer_id, until))
    return found


def _volumes(tx: Transaction, campaign: Campaign, now: datetime) -> dict[int, Volume]:
    sent = load_volumes(tx, now)
    stopped: defaultdict[int, dict[Counted, int]] = defaultdict(dict)
    for one in tallies(tx, campaign.stop_date + _DAY, day_of(now) + _DAY, what={Counted.REFUSED, Counted.HELD}):
        counts = stopped[one.customer_id]
        counts[one.what] = counts.get(one.what, 0) + one.number
    return {
        customer: Volume(
            sent[customer].emails if customer in sent else 0,
            sent[customer].gmail if customer in sent else 0,
            stopped.get(customer, {}).get(Counted.REFUSED, 0),
            stopped.get(customer, {}).get(Counted.HELD, 0),
        )
        for customer in sent.keys() | stopped.keys()
    }


# --- sending -------------------------------------------------------------------------------------------------------


def letter_writer(tx: Transaction, seal: Seal, settings: Settings) -> Writer:
    """What letters are written with in this installation."""
    return Writer(seal, load_vendor(tx), base_url(settings))


def base_url(settings: Settings) -> str:
    """Where people reach the pages; without a slash at its end."""
    http = settings.http
    if http.public_url or not http.port:
        return http.public_url.rstrip("/") or f"https://{settings.service.name}"
    return f"http://{http.host}:{http.port}"


def put_automatic(tx: Transaction, campaign: str, on: bool, by: str, now: datetime) -> None:
    """Have the campaign's letters sent by the service when they are due, or by hand only."""
    tx.execute(delete(automatic_table).where(automatic_table.c.campaign == campaign))
    tx.execute(insert(automatic_table).values(campaign=campaign, on=on, by=by, since=now))


def automatic_campaigns(tx: Transaction) -> list[str]:
    """The slugs of those whose letters go out by themselves."""
    rows: Sequence[Any] = tx.execute(select(automatic_table.c.campaign).where(automatic_table.c.on)).all()
    return sorted(row.campaign for row in rows)


# --- being left alone ----------------------------------------------------------------------------------------------


def snooze(tx: Transaction, link: Link, campaign: Campaign, choices: Choices, now: datetime, peer: str = "") -> Snooze:
    """Leave the link's person alone for up to a week, once in a campaign. Asked for again: what was granted then.

    Raises TooLateToPause when the last day is too near.
    """
    granted = load_past(tx, campaign).snoozed
    if link.person_id is not None and link.person_id in granted:
        return Snooze(granted[link.person_id], before=True)
    last_day = last_days(campaign, choices).get(link.customer_id, campaign.stop_date)
    until = snoozed_until(day_of(now), last_day)
    if until is None:
        raise TooLateToPause(last_day=last_day)
    use, new = use_once(tx, link, _SNOOZED, now, peer, {"until": until.isoformat()})
    return Snooze(date.fromisoformat(use.answer["until"]), before=not new)
