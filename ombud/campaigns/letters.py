"""Who is written to in a campaign, what, and when: one pure function over what is known.

Every customer comes out either with letters or with the reason why there is none. Nobody who is done is reminded; whoever has the
ball is written to and nobody else; nobody gets the same letter twice, or two of them on one day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from ombud.accounts import Customer
from ombud.accounts.links import LINK_DAYS, Scope
from ombud.accounts.people import Person, Role
from ombud.campaigns import sentences
from ombud.campaigns.cadence import TOO_LATE_TO_INVITE, Step, StepKind, phone_day, snoozed_until, step_on
from ombud.campaigns.stages import Ball, Stage, Standing
from ombud.choices import Campaign
from ombud.clock import day_of
from ombud.notices.letters import Letter, LinkWish, to_person
from ombud.queue import Stream
from ombud.wording import said_day, said_list

#: The letters that this module plans, by what they are about. Others (receipts, notes) do not count as reminders.
CHOOSE_LETTERS = ("invitation", "choose_reminder", "risk", "choose_last_week", "choose_stop_day", "choose_after_stop")
SETUP_LETTERS = ("setup_reminder", "microsoft_admin", "supplier_order", "supplier_reminder")
PLANNED = (*CHOOSE_LETTERS, *SETUP_LETTERS, "done")
#: The codes of a next step that is a choice; "write": no letter has arrived yet.
_TO_CHOOSE = ("write", "open", "choose")
_MOST_ALTERNATIVES = 4
_MOST_RECORDS = 6
_DAY = timedelta(days=1)


class Why(StrEnum):
    """Why a customer, or one of its people, gets no letter now."""

    NOT_STARTED = "not_started"  # the campaign has not begun
    DONE = "done"  # everything is live, and has been told
    EXEMPT = "exempt"
    BALL_WITH_US = "ball_with_us"  # it is the vendor's move
    WAITING_FOR_DNS = "waiting_for_dns"  # it is nobody's move
    NO_CONTACT = "no_contact"  # nobody is known who could do it: call
    DEAD_CONTACT = "dead_contact"  # letters came back: call
    SNOOZED = "snoozed"  # asked to be left alone for some days
    TOLD = "told"  # has had the letter that is due
    NO_RECORDS = "no_records"  # a supplier is to be written to, and it is not known what about
    NOTHING_DUE = "nothing_due"  # it is too early


@dataclass(frozen=True, slots=True)
class Planned:
    letter: Letter
    step: Step


@dataclass(frozen=True, slots=True)
class Excluded:
    customer_id: int
    why: Why
    person: Person | None = None  # None: the whole customer
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """What was sent for a customer in the last 30 days, and what became of it since the stop."""

    emails: int = 0
    to_gmail: int = 0
    refused: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """What a supplier is to put into DNS for one domain of a customer."""

    domain: str
    records: tuple[str, ...] = ()  # lines to copy
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # language -> sentences: what is still wrong
    name_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """The letters that there have been."""

    last: Mapping[tuple[int, str], datetime] = field(default_factory=dict)  # (person, letter) -> when it was last sent
    snoozed: Mapping[int, date] = field(default_factory=dict)  # person -> the day from which it may be written to again


@dataclass(frozen=True, slots=True)
class Known:
    """All that letters are planned from, beside the standings; what is not known of a customer is left out of its letters."""

    customers: Mapping[int, Customer]
    people: Sequence[Person]
    past: Past = field(default_factory=Past)
    last_days: Mapping[int, date] = field(default_factory=dict)  # customers with another than the stop date
    volumes: Mapping[int, Volume] = field(default_factory=dict)
    chosen: Mapping[int, str] = field(default_factory=dict)  # customer -> alternative
    orders: Mapping[int, Order] = field(default_factory=dict)
    product_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    planned: tuple[Planned, ...]
    excluded: tuple[Excluded, ...]

    @property
    def letters(self) -> list[Letter]:
        return [one.letter for one in self.planned]


def plan_letters(now: datetime, campaign: Campaign, standings: Iterable[Standing], known: Known) -> Plan:
    """The letters that are due on the day of `now`, and why everyone else gets none. Pure; reads no clock.

    Every standing's customer is in it at least once. Putting the same plan twice sends each letter once: its key is the campaign's,
    the step's and the person's.
    """
    people: defaultdict[int, list[Person]] = defaultdict(list)
    for person in known.people:
        if person.customer_id is not None:
            people[person.customer_id].append(person)
    planner = _Planner(day_of(now), campaign, known)
    found = [one for standing in standings for one in planner.about(standing, people.get(standing.customer_id, []))]
    return Plan(
        tuple(one for one in found if isinstance(one, Planned)),
        tuple(one for one in found if isinstance(one, Excluded)),
    )


class _Planner:
    """The rules, with the day and the campaign at hand."""

    def __init__(self, today: date, campaign: Campaign, known: Known) -> None:
        self._today, self._campaign, self._known = today, campaign, known
        self._recommended = next((one for one in campaign.offered if one.recommended), None)
        self._last_written: dict[int, date] = {}
        for (person, text), at in known.past.last.items():
            if text in PLANNED:
                self._last_written[person] = max(day_of(at), self._last_written.get(person, date.min))

    def about(self, standing: Standing, people: Sequence[Person]) -> list[Planned | Excluded]:
        customer = standing.customer_id
        if self._today < self._campaign.start_date:
            return [Excluded(customer, Why.NOT_STARTED, detail=self._campaign.start_date.isoformat())]
        if why := _nothing_to_do(standing):
            return [Excluded(customer, why)]
        wanted = _wanted(standing, people)
        if standing.stage is Stage.LIVE and all(person.bounced_at for person in wanted):
            return [Excluded(customer, Why.DONE)]  # there is nobody to tell, and nothing to do about it
        if standing.ball is Ball.IT_SUPPLIER and customer not in self._known.orders:
            return [Excluded(customer, Why.NO_RECORDS)]
        if not wanted:
            return [Excluded(customer, Why.NO_CONTACT, detail=_role(standing))]
        alive = [person for person in wanted if person.bounced_at is None]
        if not alive:
            return [Excluded(customer, Why.DEAD_CONTACT, wanted[0], wanted[0].email)]
        return [self._to(standing, person) for person in alive]

    def _to(self, standing: Standing, person: Person) -> Planned | Excluded:
        customer = standing.customer_id
        if standing.stage is Stage.LIVE:
            if (person.id, "done") in self._known.past.last:
                return Excluded(customer, Why.DONE, person)
            return Planned(self._letter("done", standing, person, "done"), Step(StepKind.DONE, self._today))
        if (until := self._known.past.snoozed.get(person.id)) and self._today < until:
            return Excluded(customer, Why.SNOOZED, person, until.isoformat())
        step = self._step(standing, person)
        if step is None:
            return Excluded(customer, Why.NOTHING_DUE, person)
        if (
            step.kind not in (StepKind.INVITATION, StepKind.ORDER)
            and self._last_written.get(person.id, date.min) >= step.day
        ):
            return Excluded(customer, Why.TOLD, person, step.name)
        days_left = (self._last_day(customer) - self._today).days
        return Planned(self._letter(_text_of(standing, step, person, days_left), standing, person, step.name), step)

    def _step(self, standing: Standing, person: Person) -> Step | None:
        last_day = self._last_day(standing.customer_id)
        first = person.id not in self._last_written
        to_choose = standing.next.code in _TO_CHOOSE
        if first and to_choose and self._today < last_day - TOO_LATE_TO_INVITE * _DAY:
            return Step(StepKind.INVITATION, self._today)
        if person.role in (Role.IT_SUPPLIER, Role.MICROSOFT_ADMIN) and first:
            return Step(StepKind.ORDER, self._today)
        return step_on(self._today, last_day, self._campaign.risk_date if to_choose else None)

    def _last_day(self, customer_id: int) -> date:
        return self._known.last_days.get(customer_id, self._campaign.stop_date)

    # --- what a letter says ---

    def _letter(self, text: str, standing: Standing, person: Person, step: str) -> Letter:
        campaign, customer = self._campaign, standing.customer_id
        last_day = self._last_day(customer)
        # A customer with more time goes through the steps again, towards its new day.
        key = f"{campaign.slug}/{step if text == 'done' else f'{last_day}{_dash(step)}'}/{person.id}"
        return to_person(
            person, customer, key, text,
            values=self._values(standing, person, last_day), links=self._links(standing, person, last_day),
            campaign=campaign.slug, stage=standing.stage.value, ball=standing.ball.value, stream=Stream.BULK,
        )  # fmt: skip

    def _values(self, standing: Standing, person: Person, last_day: date) -> dict[str, str]:
        campaign, language, today = self._campaign, person.language, self._today
        number = standing.customer_id
        volume = self._known.volumes.get(number, _NO_VOLUME)
        values = {
            "customer": self._known.customers[number].name,
            "campaign": campaign.name[language],
            "stop_day": said_day(last_day, language),
            "risk_day": said_day(campaign.risk_date, language),
            "remaining": sentences.remaining((last_day - today).days, language) if today <= last_day else "",
            "consequence": sentences.consequence(campaign, last_day, today, language),
            "stopped": sentences.stopped(last_day, today, language),
            "stopped_since": said_day(last_day + _DAY, language),
            "risk": sentences.risk(campaign, today, language),
            "recommendation": sentences.recommendation(self._recommended, language),
            "more_time": sentences.more_time(campaign, today, language),
            "after_stop": sentences.after_stop(campaign, language),
            "emails": sentences.number_or_none(volume.emails, language),
            "to_gmail": sentences.number_or_none(volume.to_gmail, language),
            "refused": sentences.number_or_none(volume.refused, language),
            "held": sentences.number_or_none(volume.held, language),
            "task": sentences.task(standing.next.code, language),
            "live_since": said_day(day_of(standing.since), language) if standing.since else "",
            "products": said_list(self._known.product_names, language),
        }
        if chosen := self._known.chosen.get(number):
            values["alternative"] = campaign.alternative(chosen).name[language]
        for n, one in enumerate(campaign.offered[:_MOST_ALTERNATIVES], start=1):
            values[f"alternative_{n}"] = one.name[language]
        return values | self._order_values(number, language)

    def _order_values(self, customer_id: int, language: str) -> dict[str, str]:
        order = self._known.orders.get(customer_id)
        if order is None:
            return {}
        values = {"domain": order.domain, "name_servers": ", ".join(order.name_servers)}
        values |= {f"record_{n}": line for n, line in enumerate(order.records[:_MOST_RECORDS], start=1)}
        found = order.findings.get(language, ())
        return values | {f"finding_{n}": line for n, line in enumerate(found[:_MOST_RECORDS], start=1)}

    def _links(self, standing: Standing, person: Person, last_day: date) -> dict[str, LinkWish]:
        # It must not expire before the day that it is about, nor soon after.
        valid_for = max(timedelta(days=LINK_DAYS), (last_day - self._today) + timedelta(days=LINK_DAYS))
        if person.role is Role.IT_SUPPLIER:  # who is told of DNS, and has nothing to choose
            return {}
        links = {"choose_url": LinkWish(Scope.CHOOSE, self._campaign.slug, valid_for)}
        if person.id not in self._known.past.snoozed and snoozed_until(self._today, last_day):
            links["snooze_url"] = LinkWish(Scope.SNOOZE, self._campaign.slug)
        return links


_NO_VOLUME = Volume()


def _nothing_to_do(standing: Standing) -> Why | None:
    if standing.stage is Stage.EXEMPT:
        return Why.EXEMPT
    if standing.stage is Stage.LIVE or standing.next.code in _TO_CHOOSE:
        return None
    if standing.next.code == "find_contact":
        return Why.DEAD_CONTACT
    return {Ball.VENDOR: Why.BALL_WITH_US, Ball.DNS: Why.WAITING_FOR_DNS, Ball.NOBODY: Why.DONE}.get(standing.ball)


def _wanted(standing: Standing, people: Sequence[Person]) -> list[Person]:
    """Whom it is about: those who may choose, for a choice; the one who has the ball, for what comes after."""
    if standing.ball is Ball.IT_SUPPLIER:
        return [person for person in people if person.role is Role.IT_SUPPLIER]
    admins = [person for person in people if person.role is Role.MICROSOFT_ADMIN]
    if standing.ball is Ball.MICROSOFT_ADMIN and admins:
        return admins
    return [person for person in people if person.may_choose] or [
        person for person in people if person.role is Role.CONTACT
    ]


def _role(standing: Standing) -> str:
    return (Role.IT_SUPPLIER if standing.ball is Ball.IT_SUPPLIER else Role.CONTACT).value


def _text_of(standing: Standing, step: Step, person: Person, days_left: int) -> str:
    if standing.ball is Ball.IT_SUPPLIER:
        return "supplier_order" if step.kind is StepKind.ORDER else "supplier_reminder"
    if person.role is Role.MICROSOFT_ADMIN:
        return "microsoft_admin"
    if standing.next.code not in _TO_CHOOSE:
        return "setup_reminder"
    if step.kind is StepKind.INVITATION:
        return "invitation"
    if step.kind is StepKind.RISK:
        return "risk"
    # By the day and not by the step: that of a last day on a Sunday is told on the Friday, which is not the last day.
    if days_left < 0:
        return "choose_after_stop"
    if days_left == 0:
        return "choose_stop_day"
    return "choose_last_week" if step.offset >= -TOO_LATE_TO_INVITE else "choose_reminder"


def _dash(step: str) -> str:
    return step if step[:1] in "+-" else f"-{step}"


# --- who is to be telephoned ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """Someone to telephone: letters do not do it."""

    customer: Customer
    person: Person | None
    why: str  # dead_contact | no_contact | never_opened
    emails: int  # sent for the customer in the last 30 days: who first


def phone_list(now: datetime, campaign: Campaign, standings: Iterable[Standing], known: Known) -> list[Call]:
    """Dead and missing contacts at once; from 14 days before its last day also who has never opened a letter. Most mail first."""
    today = day_of(now)
    standings = list(standings)
    plan = plan_letters(now, campaign, standings, known)
    calls = {one.customer_id: one.why.value for one in plan.excluded if one.why in (Why.DEAD_CONTACT, Why.NO_CONTACT)}
    for one in standings:
        last_day = known.last_days.get(one.customer_id, campaign.stop_date)
        if one.next.code in ("write", "open") and today >= phone_day(last_day):
            calls.setdefault(one.customer_id, "never_opened")
    first: dict[int, Person] = {}
    for person in sorted(known.people, key=lambda one: (not one.phone, not one.may_choose, one.id)):
        if person.customer_id is not None:
            first.setdefault(person.customer_id, person)
    found = [
        Call(known.customers[number], first.get(number), why, known.volumes.get(number, _NO_VOLUME).emails)
        for number, why in calls.items()
    ]
    return sorted(found, key=lambda call: (-call.emails, call.customer.slug))
