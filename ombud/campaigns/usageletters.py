"""Letters about what a customer uses: before it costs more than anyone thought, and when its own cap is reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ombud.accounts import load_directory
from ombud.accounts.people import Person, Role, people_of
from ombud.billing.alarms import Alarm, Level
from ombud.billing.planbook import load_plans
from ombud.billing.statement import Statement, statement
from ombud.billing.subscriptions import running_of
from ombud.billing.wording import money_text, month_text, price_text
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.notices.letters import Letter, to_person
from ombud.wording import said_number

_TEXTS = {
    Level.NEARLY: "usage_nearly",
    Level.INCLUDED: "usage_included",
    Level.CAP: "usage_cap",
    Level.HARD_CAP: "usage_hard_cap",
}


def usage_letters(tx: Transaction, alarms: Sequence[Alarm], now: datetime) -> list[Letter]:
    """A letter about each alarm to those at the customer who look after money, or else to its contacts.

    Of two alarms that came at once only the higher is told: that all is used up says that most of it was.
    """
    directory = load_directory(tx)
    letters: list[Letter] = []
    for alarm in _worth_telling(alarms):
        shown = statement(tx, directory.customer_by_id(alarm.customer_id), alarm.period, now)
        for person in _readers(people_of(tx, alarm.customer_id)):
            key = f"usage/{alarm.period}/{alarm.level}/{alarm.of}/{person.id}"
            values = _values(tx, alarm, shown, person.language, now)
            letters.append(to_person(person, alarm.customer_id, key, _TEXTS[alarm.level], values=values))
    return letters


def _worth_telling(alarms: Sequence[Alarm]) -> list[Alarm]:
    used_up = {(one.customer_id, one.period) for one in alarms if one.level is Level.INCLUDED}
    return [one for one in alarms if one.level is not Level.NEARLY or (one.customer_id, one.period) not in used_up]


def _readers(people: Iterable[Person]) -> list[Person]:
    reached = [one for one in people if one.bounced_at is None]
    finance = [one for one in reached if one.role is Role.FINANCE]
    return finance or [one for one in reached if one.role is Role.CONTACT]


def _values(tx: Transaction, alarm: Alarm, shown: Statement, language: str, now: datetime) -> dict[str, str]:
    values = {
        "customer": shown.customer.name,
        "emails": said_number(alarm.emails, language),
        "of": said_number(alarm.of, language),
        "month": month_text(alarm.period, language),
        "share": f"{alarm.emails * 100 // alarm.of} %" if language == "sv" else f"{alarm.emails * 100 // alarm.of}%",
        "cost": money_text(shown.net, language),
    }
    if running := running_of(tx, alarm.customer_id):
        plan = load_plans(tx).plan(running.plan, day_of(now), alarm.customer_id)
        values["price"] = price_text(plan.price, language)
    if shown.projection:
        values["projected_emails"] = said_number(shown.projection.emails, language)
        values["projected_cost"] = money_text(shown.projection.net, language)
    return values
