"""The choice as a person makes it, through a personal link: what the page shows, and what it does.

The page is read as often as anyone likes and changes nothing. What is chosen is what was shown: the page gives a hash of the words
and the price of each alternative, and a choice that comes back with another one has to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ombud.accounts import Customer
from ombud.accounts.links import LINK_DAYS, Link, Scope, find_link, note_use, open_link
from ombud.accounts.people import Person, companies_of, people_of, person_by_id
from ombud.campaigns import sentences
from ombud.campaigns.cases import Case, case_of
from ombud.campaigns.choosing import Chosen, ServiceCentre, choose
from ombud.campaigns.mailing import last_days
from ombud.campaigns.presenting import Presenter, load_presenter
from ombud.choices import Campaign, Choice, Shown, load_choices, shown_of
from ombud.db import Transaction
from ombud.errors import ChoiceConflict, LinkOfAnotherKind, LinkRevoked, MayNotChoose, NotFound, ShownChanged
from ombud.notices.letters import Letter, LinkWish, Writer, put_letters, to_person
from ombud.seal import Seal
from ombud.wording import said_day, said_moment

#: What is done through the link of a choice, as its log has it.
CONSIDERED, CHOSE, RENEWED = "considered", "chose", "renewed"
#: A letter with a link is sent to each person at most once in such a time, however often it is asked for.
ASKED_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Company:
    """A company that the link's person may choose for, as it stands."""

    customer: Customer
    person: Person  # the entry that has the right
    choice: Choice | None  # the active one
    newest: int | None  # the id of the newest entry in its history: what a new choice replaces
    case: Case | None


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that the page of a choice is made from."""

    link: Link
    person: Person
    campaign: Campaign
    presenter: Presenter
    company: Company  # the link's own
    others: tuple[Company, ...]  # where the same person may choose too
    last_day: date
    today: date
    kept: Shown | None  # what was shown when the active choice was made

    @property
    def may_choose(self) -> bool:
        return self.person.may_choose

    @property
    def ended(self) -> bool:
        """Nothing can be chosen in the campaign any more."""
        return self.campaign.end_at is not None and self.presenter.now >= self.campaign.end_at


@dataclass(frozen=True, slots=True)
class Asked:
    """One company's choice as it comes from the page."""

    customer: str  # slug
    expected: int | None  # the newest entry that the page knew of
    shown: str  # the hash of what the page showed


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one company's choice."""

    company: Company
    chosen: Chosen | None  # None: this very choice had been made before, or another was first
    conflict: ChoiceConflict | None = None


def load_place(tx: Transaction, seal: Seal, token: str, now: datetime) -> Place:
    """What the link opens. Raises LinkForged, LinkOfAnotherKind, LinkRevoked, LinkExpired, UnknownCampaign."""
    link = open_link(tx, seal, token, Scope.CHOOSE, now)
    person = _person(tx, link)
    choices = load_choices(tx)
    campaign = choices.campaign(link.about)
    group = companies_of(tx, person.email) if person.may_choose else []
    others = [one for one in group if one.customer_id != link.customer_id]
    # The volumes of one customer are quickly read, those of all are not needed but for a group.
    presenter = load_presenter(tx, campaign, now, None if others else link.customer_id)
    company = _company(tx, presenter, link.customer_id, person)
    kept = shown_of(tx, company.choice) if company.choice else None
    last_day = last_days(campaign, choices).get(link.customer_id, campaign.stop_date)
    found = tuple(_company(tx, presenter, one.customer_id, one) for one in others if one.customer_id is not None)
    return Place(
        link, person, campaign, presenter, company, tuple(one for one in found if not one.customer.suspended), last_day,
        campaign.today(now), kept,
    )  # fmt: skip


def _person(tx: Transaction, link: Link) -> Person:
    """Whose link it is. Raises LinkRevoked when that person has been removed since."""
    try:
        return person_by_id(tx, link.person_id or 0)
    except NotFound:
        raise LinkRevoked(at="-") from None


def _company(tx: Transaction, presenter: Presenter, customer_id: int, person: Person) -> Company:
    campaign, choices = presenter.campaign, presenter.choices
    newest = choices.newest(campaign.id, customer_id)
    return Company(
        presenter.directory.customer_by_id(customer_id), person, choices.active(campaign.id, customer_id),
        newest.id if newest else None, case_of(tx, campaign.id, customer_id),
    )  # fmt: skip


# --- doing ---------------------------------------------------------------------------------------------------------


def consider(tx: Transaction, seal: Seal, token: str, now: datetime, peer: str) -> None:
    """Somebody has gone on from the page to the confirmation: a person, and not a scanner of mail, has opened it."""
    note_use(tx, open_link(tx, seal, token, Scope.CHOOSE, now), CONSIDERED, now, peer)


def choose_by_link(
    tx: Transaction, writer: Writer, token: str, alternative: str, asked: Sequence[Asked], language: str, now: datetime, *,
    centre: ServiceCentre, peer: str,
) -> list[Done]:  # fmt: skip
    """Make the choice for the link's own company, and for those others of its person's that are asked for; one answer for each.

    The same again changes nothing and is answered alike. For a company where another choice was first, nothing is done and the
    answer says who; the others' stand. Raises as `load_place`, MayNotChoose for a company that is not the person's to choose for,
    ShownChanged when what was shown is not what would be shown now (then nothing is done), CampaignEnded, AlternativeNotOffered.
    """
    place = load_place(tx, writer.seal, token, now)
    companies = {one.customer.slug: one for one in (place.company, *place.others)}
    for one in asked:
        if one.customer not in companies:  # whether the person may choose at all is seen to by `choose`
            raise MayNotChoose(person=place.person.name, customer=one.customer)
        shown = place.presenter.shown(companies[one.customer].customer, alternative, language)
        if shown.sha256 != one.shown and not _is_made(place, companies[one.customer], alternative, one):
            raise ShownChanged()
    done = [
        _choose_one(tx, place, companies[one.customer], alternative, one, language, now, centre, peer) for one in asked
    ]
    if made := [one for one in done if one.chosen]:
        note_use(tx, place.link, CHOSE, now, peer, {one.company.customer.slug: alternative for one in made})
        put_letters(tx, writer, [letter for one in made for letter in _receipts(tx, place, one, now)], now)
    return done


def _choose_one(
    tx: Transaction, place: Place, company: Company, alternative: str, asked: Asked, language: str, now: datetime,
    centre: ServiceCentre, peer: str,
) -> Done:  # fmt: skip
    if _is_made(place, company, alternative, asked):
        return Done(company, None)
    try:
        with tx.savepoint():
            chosen = choose(
                tx, place.campaign, company.customer, alternative,
                place.presenter.shown(company.customer, alternative, language), now,
                expected=asked.expected, centre=centre, person=company.person, peer=peer,
            )  # fmt: skip
    except ChoiceConflict as conflict:
        return Done(company, None, conflict)
    return Done(company, chosen)


def _is_made(place: Place, company: Company, alternative: str, asked: Asked) -> bool:
    """Whether this very choice was made before: the same form, sent again."""
    there = company.choice
    return (
        there is not None
        and there.id != asked.expected
        and there.person_id == company.person.id
        and there.alternative == alternative
        and there.shown_sha256 == asked.shown
    )


# --- letters -------------------------------------------------------------------------------------------------------


def _receipts(tx: Transaction, place: Place, done: Done, now: datetime) -> list[Letter]:
    """To everyone at the company who may choose: whoever did not make this choice should know of it."""
    assert done.chosen is not None
    campaign, choice, case = place.campaign, done.chosen.choice, done.chosen.case
    customer = done.company.customer
    letters = []
    for person in people_of(tx, customer.id):
        if person.may_choose and person.bounced_at is None:
            language = person.language
            one = campaign.alternative(choice.alternative)
            values = {
                "customer": customer.name,
                "alternative": one.name[language],
                "price": place.presenter.price_words(customer, one, language),
                "chosen_by": done.company.person.name,
                "chosen_at": said_moment(choice.at, language),
                "case": case.number or case.reference,
                "next": sentences.what_now(one, language, is_stopped=place.today > place.last_day),
            }
            letters.append(_with_link(person, customer.id, campaign, f"receipt/{choice.id}", "receipt", values, now))
    return letters


def ask_for_link(tx: Transaction, writer: Writer, campaign_slug: str, customer_slug: str, now: datetime) -> int:
    """Send a personal link to everyone at the company who may choose, at most once an hour each. Returns how many letters.

    Whoever asks learns nothing: what there is of customers and contacts is the same to them. Raises UnknownCampaign.
    """
    choices = load_choices(tx)
    campaign = choices.campaign(campaign_slug)
    presenter = load_presenter(tx, campaign, now, 0)
    customer = presenter.directory.customers.get(customer_slug)
    if customer is None or customer.suspended:
        return 0
    people = [one for one in people_of(tx, customer.id) if one.may_choose]
    return len(put_letters(tx, writer, [_new_link(one, customer, campaign, now) for one in people], now))


def renew_by_link(tx: Transaction, writer: Writer, token: str, now: datetime, peer: str) -> None:
    """Send a new link to the one whose old one has expired, to the address that we have.

    Raises LinkForged, LinkOfAnotherKind, LinkRevoked.
    """
    link = find_link(tx, writer.seal, token)
    if link.scope is not Scope.CHOOSE:
        raise LinkOfAnotherKind()
    if link.revoked_at is not None:
        open_link(tx, writer.seal, token, link.scope, now)  # which says when
    person = _person(tx, link)
    campaign = load_choices(tx).campaign(link.about)
    customer = load_presenter(tx, campaign, now, 0).directory.customer_by_id(link.customer_id)
    note_use(tx, link, RENEWED, now, peer)
    put_letters(tx, writer, [_new_link(person, customer, campaign, now)], now)


def _new_link(person: Person, customer: Customer, campaign: Campaign, now: datetime) -> Letter:
    until = said_day((now + timedelta(days=LINK_DAYS)).date(), person.language)
    hour = int(now.timestamp() // ASKED_AGAIN.total_seconds())
    values = {"customer": customer.name, "valid_until": until}
    return _with_link(person, customer.id, campaign, f"new_link/{hour}", "new_link", values, now)


def _with_link(
    person: Person, customer_id: int, campaign: Campaign, what: str, text: str, values: Mapping[str, str], now: datetime
) -> Letter:
    return to_person(
        person, customer_id, f"{campaign.slug}/{what}/{person.id}", text, values=values,
        links={"choose_url": LinkWish(Scope.CHOOSE, campaign.slug)}, campaign=campaign.slug,
    )  # fmt: skip
