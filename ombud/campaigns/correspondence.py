"""The letters that go out by themselves: what is due in a campaign, the daily note to those whose mail stops, and news of domains.

Each is worked out by reading only, and put afterwards: the keys of letters see to it that nothing is sent twice, however often and
by however many processes this is done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from ombud.accounts import Customer, load_directory
from ombud.accounts.links import Scope
from ombud.accounts.people import Person, Role, load_people
from ombud.accounts.vendor import load_vendor
from ombud.campaigns import sentences
from ombud.campaigns.cadence import is_letter_time
from ombud.campaigns.letters import Call, Known, Order, Plan, phone_list, plan_letters
from ombud.campaigns.mailing import automatic_campaigns, load_known, load_reach
from ombud.campaigns.picture import Picture, load_picture
from ombud.campaigns.stages import Ball, Stage
from ombud.choices import LANGUAGES, Campaign, Choices, Extension, ExtensionKind, load_choices
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.domains.watch import State as DomainState
from ombud.domains.watchlist import Standing as DomainStanding
from ombud.domains.watchlist import reports_of, standings
from ombud.notices.letters import Letter, LinkWish, keys_like, to_person
from ombud.usage import Counted, tallies
from ombud.wording import said_day, said_list, said_moment, said_number
from ombud.workdays import workday_on_or_before

_DAY = timedelta(days=1)
_MOST_LINES = 4
#: A domain that came back is told of within such a time; what is older is no news.
_NEWS = timedelta(days=2)
#: So long after it was told that it is at risk.
_REMEMBERED = timedelta(days=60)


def due_letters(tx: Transaction, now: datetime) -> list[Letter]:
    """Everything that is to go out by itself now. Reads only."""
    letters = domain_letters(tx, now)
    if not is_letter_time(now):
        return letters
    # Who writes stands in every letter: until that is said, none of a campaign is written.
    automatic = set(automatic_campaigns(tx)) if load_vendor(tx) else set[str]()
    choices = load_choices(tx)
    for campaign in choices.campaigns:
        letters += _granted(tx, campaign, choices, now)
        stopped = now >= campaign.stop_at
        if campaign.slug not in automatic and not stopped:
            continue
        picture = load_picture(tx, campaign.slug, now, load_reach(tx, campaign.slug))
        if campaign.slug in automatic:
            letters += plan_of(tx, picture, now).letters
        if stopped:
            letters += daily_notes(tx, picture, now)
    return letters


def plan_of(tx: Transaction, picture: Picture, now: datetime) -> Plan:
    """The campaign's letters for the day of `now`."""
    return plan_letters(now, picture.campaign, picture.standings.values(), known_of(tx, picture, now))


def calls_of(tx: Transaction, picture: Picture, now: datetime) -> list[Call]:
    """Who is to be telephoned in the campaign, on the day of `now`."""
    return phone_list(now, picture.campaign, picture.standings.values(), known_of(tx, picture, now))


def known_of(tx: Transaction, picture: Picture, now: datetime) -> Known:
    """All that the campaign's letters are planned from, beside where everyone stands."""
    orders = load_orders(tx, picture)
    return load_known(tx, picture.campaign, picture.directory, picture.routing.choices, now, orders=orders)


def load_orders(tx: Transaction, picture: Picture) -> dict[int, Order]:
    """What the suppliers who have the ball are to put into DNS."""
    waiting = {number for number, one in picture.standings.items() if one.ball is Ball.IT_SUPPLIER}
    first: dict[int, str] = {}
    for domain in standings(tx) if waiting else ():
        if domain.customer_id in waiting and domain.state is not DomainState.OK:
            first.setdefault(domain.customer_id, domain.domain)
    reports = reports_of(tx, first.values())
    return {customer: _order(name, reports.get(name, {})) for customer, name in first.items()}


def _order(domain: str, report: Mapping[str, Any]) -> Order:
    lines = tuple(_line(one) for one in report.get("records", ()) if one.get("state") not in ("ok", "recommended"))
    findings = {language: _verdicts(report, language) for language in LANGUAGES}
    return Order(domain, lines, findings, tuple(report.get("name_servers", ())))


def _line(record: Mapping[str, Any]) -> str:
    expected = record.get("expected")
    values = expected if isinstance(expected, list) else [expected]
    return f"{record.get('name', '')}  {record.get('type', '')}  {' '.join(str(one) for one in values if one)}"


def _verdicts(report: Mapping[str, Any], language: str) -> tuple[str, ...]:
    """What is wrong and required, in a sentence each."""
    found = []
    for one in report.get("findings", ()):
        words = one.get(language)
        verdict = words.get("verdict", "") if isinstance(words, Mapping) else words
        if one.get("weight") == "required" and verdict:
            found.append(str(verdict))
    return tuple(dict.fromkeys(found))


# --- the daily note ------------------------------------------------------------------------------------------------


def daily_notes(tx: Transaction, picture: Picture, now: datetime) -> list[Letter]:
    """To the contacts of each stopped customer: what became of its mail since the last note. Once each working day."""
    campaign, today = picture.campaign, day_of(now)
    since = max(workday_on_or_before(today - _DAY), campaign.stop_date + _DAY)
    stopped = {number for number, one in picture.standings.items() if one.stage is Stage.STOPPED}
    counts: defaultdict[int, dict[Counted, int]] = defaultdict(dict)
    products: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for one in tallies(tx, since, today, what={Counted.REFUSED, Counted.HELD, Counted.HELD_EXPIRED}):
        if one.customer_id in stopped:
            mine, touched = counts[one.customer_id], products[one.customer_id]
            mine[one.what] = mine.get(one.what, 0) + one.number
            touched[one.product_id] = touched.get(one.product_id, 0) + one.number
    letters = []
    for person in _contacts(load_people(tx)):
        number = person.customer_id or 0
        if number in counts:
            most = sorted(products[number].items(), key=lambda item: -item[1])
            names = [picture.directory.product_by_id(product).name for product, _ in most[:3]]
            letters.append(_note(picture, person, counts[number], names, since, today))
    return letters


def _note(
    picture: Picture, person: Person, counts: Mapping[Counted, int], products: list[str], since: date, today: date
) -> Letter:
    assert person.customer_id is not None
    campaign, language, until = picture.campaign, person.language, today - _DAY
    day = said_day(until, language, year=False)
    if since != until:
        day = f"{said_day(since, language, year=False)}–{day}"
    values = {
        "customer": picture.directory.customer_by_id(person.customer_id).name,
        "day": day,
        "stopped_number": said_number(sum(counts.values()), language),
        "stopped_since": said_day(campaign.stop_date + _DAY, language),
        "refused": sentences.number_or_none(counts.get(Counted.REFUSED, 0), language),
        "held": sentences.number_or_none(counts.get(Counted.HELD, 0), language),
        "expired": sentences.number_or_none(counts.get(Counted.HELD_EXPIRED, 0), language),
        "products": said_list(products, language),
    }
    key = f"{campaign.slug}/daily_note/{today}/{person.id}"
    return _about_choice(person, campaign, key, "daily_note", values)


# --- more time -----------------------------------------------------------------------------------------------------


def _granted(tx: Transaction, campaign: Campaign, choices: Choices, now: datetime) -> list[Letter]:
    """To those who have lately been given more time."""
    lately = [
        one
        for one in choices.extensions_in(campaign.id)
        if one.kind is not ExtensionKind.EXEMPTION and one.in_force(now) and now - (one.approved_at or now) < _NEWS
    ]
    if not lately:
        return []
    told = keys_like(tx, f"{campaign.slug}/extension/", now - _REMEMBERED)
    directory, people = load_directory(tx), load_people(tx)
    letters = [
        letter
        for one in lately
        for letter in extension_letters(campaign, directory.customer_by_id(one.customer_id), one, people)
    ]
    return [letter for letter in letters if letter.key not in told]


def extension_letters(
    campaign: Campaign, customer: Customer, extension: Extension, people: Iterable[Person]
) -> list[Letter]:
    """To the customer's contacts, when an extension has been approved, or reserve mode."""
    text = "reserve" if extension.kind is ExtensionKind.RESERVE else "extension"
    return [
        _about_choice(
            person, campaign, f"{campaign.slug}/extension/{extension.id}/{person.id}", text,
            {
                "customer": customer.name,
                "until": said_day(extension.until, person.language),
                "reason": extension.reason,
            },
        )
        for person in _contacts(people)
        if person.customer_id == customer.id
    ]  # fmt: skip


def _about_choice(person: Person, campaign: Campaign, key: str, text: str, values: Mapping[str, str]) -> Letter:
    assert person.customer_id is not None
    links = {"choose_url": LinkWish(Scope.CHOOSE, campaign.slug)}
    return to_person(person, person.customer_id, key, text, values=values, links=links, campaign=campaign.slug)


# --- domains -------------------------------------------------------------------------------------------------------


def domain_letters(tx: Transaction, now: datetime) -> list[Letter]:
    """To those who look after a domain: that something of it is gone, with the time that it has, and that it is back."""
    told = keys_like(tx, "domain/", now - _REMEMBERED)
    known = standings(tx)
    at_risk = [one for one in known if one.state is DomainState.AT_RISK and one.stop_at and one.stop_at > now]
    back = [
        one
        for one in (known if told else ())
        if one.state is DomainState.OK and one.since and now - one.since < _NEWS and _was_told(told, one.domain)
    ]
    if not at_risk and not back:
        return []
    people: defaultdict[int, list[Person]] = defaultdict(list)
    for person in _contacts(load_people(tx), Role.IT_SUPPLIER):
        people[person.customer_id or 0].append(person)
    reports = reports_of(tx, [one.domain for one in at_risk])
    letters = [
        _gone(one, _order(one.domain, reports.get(one.domain, {})), person)
        for one in at_risk
        for person in people[one.customer_id]
    ]
    letters += [_back(one, person) for one in back for person in people[one.customer_id]]
    return [letter for letter in letters if letter.key not in told]


def _was_told(keys: Iterable[str], domain: str) -> bool:
    return any(key.startswith(f"domain/{domain}/at_risk/") for key in keys)


def _gone(domain: DomainStanding, order: Order, person: Person) -> Letter:
    language = person.language
    values = {
        "domain": domain.domain,
        "until": said_moment(domain.stop_at, language) if domain.stop_at else "–",
        "checked": said_moment(domain.checked_at, language) if domain.checked_at else "–",
    }
    values |= {f"record_{n}": line for n, line in enumerate(order.records[:_MOST_LINES], start=1)}
    found: Sequence[str] = order.findings.get(language, ())
    values |= {f"finding_{n}": line for n, line in enumerate(found[:_MOST_LINES], start=1)}
    return _about_domain(domain, person, "at_risk", "domain_at_risk", values)


def _back(domain: DomainStanding, person: Person) -> Letter:
    since = said_moment(domain.since, person.language) if domain.since else "–"
    return _about_domain(domain, person, "back", "domain_back", {"domain": domain.domain, "since": since})


def _about_domain(domain: DomainStanding, person: Person, what: str, text: str, values: Mapping[str, str]) -> Letter:
    # The moment at which it came to be so: a second time is another letter.
    at = int(domain.since.timestamp()) if domain.since else 0
    key = f"domain/{domain.domain}/{what}/{at}/{person.id}"
    return to_person(person, domain.customer_id, key, text, values=values)


def _contacts(people: Iterable[Person], *roles: Role) -> list[Person]:
    """Whose letters arrive: those who may choose, the contacts, and these roles."""
    return [
        person
        for person in people
        if person.customer_id is not None
        and person.bounced_at is None
        and (person.may_choose or person.role in (Role.CONTACT, *roles))
    ]
