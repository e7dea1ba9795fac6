"""Brownouts ("provstopp") from the campaign's side: who is told of one, before and after, and whether all that was held got out.

What holds the mail is `routing.decide`; what releases it is delivery's following of the facts. Nothing here can lose a mail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ombud.accounts import Directory
from ombud.accounts.links import Scope
from ombud.accounts.people import Person, Role, load_people
from ombud.campaigns.picture import members
from ombud.campaigns.sentences import consequence
from ombud.choices import Campaign
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.errors import BadField, BrownoutOver
from ombud.notices.letters import Letter, LinkWish, Writer, put_letters, to_person
from ombud.queue.hold import Fate, fate_of_held, held_by_customer
from ombud.routing import (
    Action,
    Brownout,
    Facts,
    approve_brownout,
    decide,
    get_brownout,
    load_brownouts,
    mark_announced,
)
from ombud.wording import said_day, said_number, said_time

REASON = "brownout"
#: Nobody's mail is held without having been told so long before.
LEAST_NOTICE = timedelta(hours=24)
#: For so long after a brownout the letters that tell what it did go out.
TOLD_WITHIN = timedelta(days=2)


class BrownoutState(StrEnum):
    ASKED = "asked"  # waits for another person's approval
    ANNOUNCED = "announced"  # approved, and everyone concerned is told
    ON = "on"  # mail is being held
    PAUSED = "paused"  # someone pressed the button
    OVER = "over"
    LAPSED = "lapsed"  # nobody approved it in time


@dataclass(frozen=True, slots=True)
class Report:
    """How a brownout went. `balanced`: count in = count out."""

    brownout: Brownout
    state: BrownoutState
    fate: Fate

    @property
    def balanced(self) -> bool:
        """Whether all that was held has got out, one way or the other; while it is on that is not asked."""
        return (
            self.state in (BrownoutState.ASKED, BrownoutState.ANNOUNCED, BrownoutState.ON) or self.fate.still_held == 0
        )


def state_of(brownout: Brownout, now: datetime) -> BrownoutState:
    if brownout.paused_at is not None and brownout.paused_at <= now:
        return BrownoutState.PAUSED
    if brownout.approved_at is None:
        return BrownoutState.ASKED if now < brownout.ends_at else BrownoutState.LAPSED
    if now >= brownout.ends_at:
        return BrownoutState.OVER
    return BrownoutState.ON if brownout.in_force(now) else BrownoutState.ANNOUNCED


def report(tx: Transaction, campaign: Campaign, brownout: Brownout, now: datetime) -> Report:
    fate = fate_of_held(tx, REASON, brownout.starts_at, _ended(brownout), product_ids=list(campaign.products))
    return Report(brownout, state_of(brownout, now), fate)


def reports(tx: Transaction, campaign: Campaign, now: datetime) -> list[Report]:
    """The campaign's brownouts, by when they start."""
    return [report(tx, campaign, one, now) for one in load_brownouts(tx) if one.campaign_id == campaign.id]


# --- before --------------------------------------------------------------------------------------------------------


def concerned(tx: Transaction, facts: Facts, directory: Directory, campaign: Campaign, brownout: Brownout) -> list[int]:
    """The customers whose mail it would hold, if nothing changes until it begins; asked of the same `decide`."""
    as_approved = facts if brownout.approved_at else _as_if_approved(facts, brownout)
    return [
        customer.id
        for customer in members(tx, directory)
        if any(_is_held(as_approved, customer.id, product, brownout.starts_at) for product in campaign.products)
    ]


def _is_held(facts: Facts, customer_id: int, product_id: int, at: datetime) -> bool:
    decision = decide(facts, customer_id, product_id, at)
    return decision.action is Action.HOLD and decision.reason == REASON


def _as_if_approved(facts: Facts, brownout: Brownout) -> Facts:
    approved = replace(brownout, approved_by="-", approved_at=brownout.asked_at)
    others = tuple(one for one in facts.brownouts if one.id != brownout.id)
    return replace(facts, brownouts=(*others, approved))


def approve(
    tx: Transaction, facts: Facts, directory: Directory, campaign: Campaign, brownout_id: int, writer: Writer, now: datetime,
    *, by: str,
) -> list[Letter]:  # fmt: skip
    """Approve what another has asked for, and tell everyone whom it concerns. Returns the letters.

    Raises what `approve_brownout` does, and BadField when there is no time left to tell them.
    """
    brownout = get_brownout(tx, brownout_id)
    if brownout.campaign_id != campaign.id:
        raise BrownoutOver(brownout=brownout_id)
    if now + LEAST_NOTICE > brownout.starts_at:
        hours = LEAST_NOTICE // timedelta(hours=1)
        raise BadField(
            field="starts_at", reason=f"those concerned must be told {hours} hours before; ask for a later window"
        )
    customers = concerned(tx, facts, directory, campaign, brownout)
    brownout = approve_brownout(tx, brownout_id, now, by=by)
    if not mark_announced(tx, brownout_id, now):
        return []
    readers = _readers(load_people(tx), customers)
    letters = [_announcement(campaign, brownout, directory, person, now) for person in readers]
    return put_letters(tx, writer, letters, now, by=by)


def _readers(people: Iterable[Person], customers: Sequence[int]) -> list[Person]:
    """Whom at these customers it is told: those who may choose, else the contacts; nobody whose letters come back."""
    wanted, found = set(customers), defaultdict[int, list[Person]](list)
    for person in people:
        if person.customer_id in wanted and person.bounced_at is None:
            found[person.customer_id].append(person)
    readers = []
    for theirs in found.values():
        choosers = [person for person in theirs if person.may_choose]
        readers += choosers or [person for person in theirs if person.role is Role.CONTACT]
    return readers


def _announcement(
    campaign: Campaign, brownout: Brownout, directory: Directory, person: Person, now: datetime
) -> Letter:
    language = person.language
    hours = max(1, round((brownout.ends_at - brownout.starts_at) / timedelta(hours=1)))
    values = {
        "day": said_day(day_of(brownout.starts_at), language, year=False),
        "hours": str(hours),
        "from": said_time(brownout.starts_at, language),
        "to": said_time(brownout.ends_at, language),
        "consequence": consequence(campaign, campaign.stop_date, day_of(now), language),
    }
    return _letter("brownout_announced", campaign, brownout, directory, person, values)


# --- after ---------------------------------------------------------------------------------------------------------


def recently_over(tx: Transaction, now: datetime) -> list[Brownout]:
    """The brownouts that have just ended, of which those concerned are told."""
    return [
        one
        for one in load_brownouts(tx)
        if one.approved_at and one.starts_at < _ended(one) <= now < _ended(one) + TOLD_WITHIN
    ]


def tell_what_it_did(
    tx: Transaction, campaign: Campaign, directory: Directory, writer: Writer, now: datetime
) -> list[Letter]:
    """Tell those whose mail was held by a brownout that has just ended how much it was; each person once. Returns the new letters.

    Nobody is told while some of it is held still.
    """
    letters: list[Letter] = []
    for one in recently_over(tx, now):
        if one.campaign_id == campaign.id:
            held = held_by_customer(tx, REASON, one.starts_at, _ended(one), list(campaign.products))
            if held and report(tx, campaign, one, now).balanced:
                people = _readers(load_people(tx), list(held))
                letters += [_after(campaign, one, directory, person, held) for person in people]
    return put_letters(tx, writer, letters, now) if letters else []


def _after(
    campaign: Campaign, brownout: Brownout, directory: Directory, person: Person, held: Mapping[int, tuple[int, int]]
) -> Letter:
    assert person.customer_id is not None
    count, released = held[person.customer_id]
    language = person.language
    values = {
        "held": said_number(count, language),
        "released": said_number(released, language),
        "stop_day": said_day(campaign.stop_date, language),
    }
    return _letter("brownout_after", campaign, brownout, directory, person, values)


def _letter(
    text: str, campaign: Campaign, brownout: Brownout, directory: Directory, person: Person, values: Mapping[str, str]
) -> Letter:
    assert person.customer_id is not None
    named = {**values, "customer": directory.customer_by_id(person.customer_id).name}
    links = {"choose_url": LinkWish(Scope.CHOOSE, campaign.slug)}
    key = f"{campaign.slug}/{text}/{brownout.id}/{person.id}"
    return to_person(person, person.customer_id, key, text, values=named, links=links, campaign=campaign.slug)


def _ended(brownout: Brownout) -> datetime:
    return min(brownout.ends_at, brownout.paused_at or brownout.ends_at)
