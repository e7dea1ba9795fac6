"""How far each customer has come, and who has the ball: computed from facts, never typed in.

    not_reached -> reached -> opened -> chosen -> setting_up -> verified -> proven -> live

is the ladder. `extended`, `exempt` and `stopped` are laid over it: `stage` is what the customer is counted as, `step` how far
up the ladder it is all the same. Each customer has exactly one stage, so stages add up to all customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ombud.campaigns.nextsteps import NEXT_STEPS, NextStep
from ombud.choices import Alternative, Campaign, Choice, Extension, ExtensionKind, Kind, Need


class Stage(StrEnum):
    NOT_REACHED = "not_reached"  # no letter has arrived
    REACHED = "reached"  # a letter has
    OPENED = "opened"  # someone opened the link
    CHOSEN = "chosen"
    SETTING_UP = "setting_up"  # records or a server are being put in place
    VERIFIED = "verified"  # every required record is there
    PROVEN = "proven"  # a real message proved it
    LIVE = "live"  # all of the campaign's products go by the choice
    EXTENDED = "extended"  # has more time, or goes out in reserve mode
    STOPPED = "stopped"  # the stop is passed, and some of its mail does not leave
    EXEMPT = "exempt"  # the stop does not count for it


class Ball(StrEnum):
    """Who must do something for the customer to get any further."""

    CUSTOMER = "customer"
    IT_SUPPLIER = "it_supplier"
    MICROSOFT_ADMIN = "microsoft_admin"
    VENDOR = "vendor"
    DNS = "dns"  # nobody: what is done must spread
    NOBODY = "nobody"  # done, or exempt


class Flag(StrEnum):
    """What else is worth knowing, beside the stage."""

    DEAD_CONTACT = "dead_contact"  # letters come back
    PARTLY_LIVE = "partly_live"  # for some products, not yet for all
    CANARY = "canary"  # a share of the mail goes by the choice
    ROLLED_BACK = "rolled_back"  # went live, and was taken back
    PROOF_FAILED = "proof_failed"  # the newest test message did not pass
    DNS_AT_RISK = "dns_at_risk"  # a record that was there is gone
    DNS_LOST = "dns_lost"
    RESERVE = "reserve"  # mail leaves from the vendor's own domain
    BY_HAND = "by_hand"  # nothing is live, and the stop does not concern it: an operator set another way


@dataclass(frozen=True, slots=True)
class Reach:
    """What has come of writing to a customer."""

    first_told_at: datetime | None = None  # the first letter that arrived
    opened_at: datetime | None = None  # someone opened the link, and did something
    bounced: bool = False  # there is no contact left whose letters arrive


NOT_WRITTEN_TO = Reach()


@dataclass(frozen=True, slots=True)
class DomainFact:
    """One sender domain of a customer, seen from the route that its choice leads to."""

    name: str
    state: str  # unchecked | pending | ok | at_risk | lost
    since: datetime | None
    turn: str  # customer | it_supplier | microsoft_admin | vendor | wait
    proven_at: datetime | None = None  # a message by that route proved it, and nothing has disproved it since
    failed_at: datetime | None = None  # the newest test message by that route did not pass


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one customer in one campaign."""

    campaign: Campaign
    customer_id: int
    reach: Reach = NOT_WRITTEN_TO
    choice: Choice | None = None
    has_route: bool = False  # the route that the choice leads to is set up
    microsoft: bool = False  # its own mail is Microsoft 365: an administrator there must consent
    domains: tuple[DomainFact, ...] = ()
    live_since: Mapping[int, datetime] | None = None  # the campaign's products that go by the choice, each since when
    extension: Extension | None = None  # in force now
    stopped: bool = False  # something of its mail in the campaign's products does not leave, for want of a live choice
    by_hand: bool = False  # its mail goes another way than the legacy routes, by an operator's hand
    canary: bool = False
    rolled_back: bool = False

    @property
    def alternative(self) -> Alternative | None:
        """The one that was chosen."""
        if self.choice is None:
            return None
        return self.campaign.alternative(self.choice.alternative)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one customer stands."""

    customer_id: int
    stage: Stage
    step: Stage  # how far up the ladder
    ball: Ball
    since: datetime | None  # the ball has lain there since then; None: since the beginning
    next: NextStep
    flags: frozenset[Flag]

    @property
    def done(self) -> bool:
        """Nothing more is asked of this customer: it is never reminded."""
        return self.stage in (Stage.LIVE, Stage.EXEMPT)


def stage_of(facts: Facts) -> Standing:
    """Where the customer stands. Pure and total."""
    step, ball, since, code = _on_the_ladder(facts)
    stage = step
    extension = facts.extension
    if step is Stage.LIVE:
        pass
    elif extension and extension.kind is ExtensionKind.EXEMPTION:
        stage, ball, since, code = Stage.EXEMPT, Ball.NOBODY, extension.approved_at, "none"
    elif extension:
        stage = Stage.EXTENDED
    elif facts.stopped:
        stage = Stage.STOPPED
    return Standing(facts.customer_id, stage, step, ball, since, NEXT_STEPS[code], _flags(facts, step))


_Place = tuple[Stage, Ball, datetime | None, str]  # step, ball, since when, the next step's code


def _on_the_ladder(facts: Facts) -> _Place:
    alternative = facts.alternative
    if alternative is None:
        return _before_the_choice(facts.reach)
    live = facts.live_since or {}
    if live and all(product in live for product in facts.campaign.products):
        return Stage.LIVE, Ball.NOBODY, max(live.values()), "none"
    lacks = _lacks(facts, alternative)
    if lacks is None:
        reached = Stage.PROVEN if Need.PROVEN in alternative.needs else _verified_or_chosen(alternative)
        return reached, Ball.VENDOR, _ready_since(facts), "switch_rest" if live else "switch"
    return lacks


def _before_the_choice(reach: Reach) -> _Place:
    if reach.opened_at:
        return Stage.OPENED, Ball.CUSTOMER, reach.opened_at, "choose"
    if reach.bounced:
        return Stage.NOT_REACHED, Ball.VENDOR, reach.first_told_at, "find_contact"
    if reach.first_told_at:
        return Stage.REACHED, Ball.CUSTOMER, reach.first_told_at, "open"
    return Stage.NOT_REACHED, Ball.VENDOR, None, "write"


def _verified_or_chosen(alternative: Alternative) -> Stage:
    return Stage.VERIFIED if Need.RECORDS in alternative.needs else Stage.CHOSEN


def _lacks(facts: Facts, alternative: Alternative) -> _Place | None:
    """What stands between the choice and going live, the first thing first; None: nothing does."""
    assert facts.choice is not None
    chosen_at = facts.choice.at
    if not facts.has_route:
        return _no_route(facts, alternative, chosen_at)
    if not facts.domains and alternative.needs:
        return Stage.CHOSEN, Ball.CUSTOMER, chosen_at, "give_domain"
    if Need.RECORDS in alternative.needs and any(one.state != "ok" for one in facts.domains):
        return _records_missing(facts.domains, chosen_at)
    if Need.PROVEN in alternative.needs and (unproven := [one for one in facts.domains if not one.proven_at]):
        return _unproven(facts, alternative, unproven, chosen_at)
    return None


def _no_route(facts: Facts, alternative: Alternative, chosen_at: datetime) -> _Place:
    if alternative.kind is not Kind.OWN:
        return Stage.CHOSEN, Ball.VENDOR, chosen_at, "make_route"
    if facts.microsoft:
        return Stage.CHOSEN, Ball.MICROSOFT_ADMIN, chosen_at, "consent"
    return Stage.CHOSEN, Ball.CUSTOMER, chosen_at, "give_server"


#: Whose turn a domain's records are: of several domains the first of these is told.
_TURNS = {
    "customer": (Ball.CUSTOMER, "records_customer"),
    "it_supplier": (Ball.IT_SUPPLIER, "records_supplier"),
    "microsoft_admin": (Ball.MICROSOFT_ADMIN, "consent"),
    "vendor": (Ball.VENDOR, "records_vendor"),
    "wait": (Ball.DNS, "records_wait"),
}


def _records_missing(domains: tuple[DomainFact, ...], chosen_at: datetime) -> _Place:
    missing = [one for one in domains if one.state != "ok"]
    turn = min((one.turn for one in missing), key=list(_TURNS).index)
    ball, code = _TURNS[turn]
    since = max(chosen_at, *(one.since or chosen_at for one in missing if one.turn == turn))
    begun = any(one.state != "unchecked" for one in domains)
    return Stage.SETTING_UP if begun else Stage.CHOSEN, ball, since, code


def _unproven(facts: Facts, alternative: Alternative, unproven: list[DomainFact], chosen_at: datetime) -> _Place:
    own = alternative.kind is Kind.OWN
    step = Stage.VERIFIED if Need.RECORDS in alternative.needs else Stage.SETTING_UP
    if failed := [one.failed_at for one in unproven if one.failed_at]:
        since = max(chosen_at, *failed)
        if not own:
            return step, Ball.VENDOR, since, "mend_proof"
        return (
            (step, Ball.MICROSOFT_ADMIN, since, "consent")
            if facts.microsoft
            else (step, Ball.CUSTOMER, since, "mend_server")
        )
    # Alternative 1 asks for no records of ours: when they changed says nothing about it.
    since = chosen_at if own else max(chosen_at, *(one.since or chosen_at for one in unproven))
    return step, Ball.VENDOR, since, "prove"


def _ready_since(facts: Facts) -> datetime:
    assert facts.choice is not None
    known = [moment for one in facts.domains for moment in (one.proven_at, one.since) if moment]
    return max(facts.choice.at, *known)


def _flags(facts: Facts, step: Stage) -> frozenset[Flag]:
    states = {one.state for one in facts.domains}
    found = {
        Flag.DEAD_CONTACT: facts.reach.bounced,
        Flag.PARTLY_LIVE: bool(facts.live_since) and step is not Stage.LIVE,
        Flag.CANARY: facts.canary,
        Flag.ROLLED_BACK: facts.rolled_back,
        Flag.PROOF_FAILED: facts.choice is not None and any(one.failed_at for one in facts.domains),
        Flag.DNS_AT_RISK: "at_risk" in states,
        Flag.DNS_LOST: "lost" in states,
        Flag.RESERVE: facts.extension is not None and facts.extension.kind is ExtensionKind.RESERVE,
        Flag.BY_HAND: facts.by_hand and step is not Stage.LIVE,
    }
    return frozenset(flag for flag, holds in found.items() if holds)
