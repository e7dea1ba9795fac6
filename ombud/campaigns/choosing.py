"""Choosing: the choice, its one case and what the service centre is told of it, in one transaction.

The service centre may be down for days: what it is to be told waits in the outbox, and neither the choice nor its case does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ombud.accounts import Customer
from ombud.accounts.people import Person
from ombud.campaigns.cases import Case, case_of, put_case
from ombud.choices import Campaign, Choice, Shown
from ombud.choices.choosing import record_choice, withdraw_choice
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.notices.outbox import Kind, put_notice
from ombud.settings import Settings

#: What the service centre speaks.
LANGUAGE = "sv"


@dataclass(frozen=True, slots=True)
class ServiceCentre:
    """Where cases are told of, beside the register. Neither: the register is the service centre."""

    webhook: str = ""  # the slug of a webhook
    mail: str = ""  # an address

    @classmethod
    def of(cls, settings: Settings) -> ServiceCentre:
        return cls(settings.service_centre.webhook, settings.service_centre.mail)


NO_CENTRE = ServiceCentre()


@dataclass(frozen=True, slots=True)
class Chosen:
    """What choosing came to."""

    choice: Choice
    case: Case


def choose(
    tx: Transaction, campaign: Campaign, customer: Customer, alternative: str, shown: Shown, now: datetime, *,
    expected: int | None, centre: ServiceCentre = NO_CENTRE, person: Person | None = None, operator: str = "",
    reason: str = "", peer: str = "",
) -> Chosen:  # fmt: skip
    """The customer goes by this alternative from now on. The first choice opens the customer's one case in the campaign; a
    changed one is a comment on that same case, and opens it again if it was closed.

    `expected` is the id of the choice that whoever chose knew of; None: there was none. Raises as `record_choice`; nothing is
    written then.
    """
    before = case_of(tx, campaign.id, customer.id)
    choice = record_choice(
        tx, campaign, customer, alternative, shown, now, expected=expected, person=person, operator=operator, reason=reason,
        peer=peer,
    )  # fmt: skip
    words = _words(campaign, choice, shown, before)
    case = put_case(tx, campaign.id, customer.id, reference_of(campaign, customer), alternative, words, choice.by, now)
    _tell(
        tx, centre, "choice.changed" if before else "choice.made", campaign, customer, choice, case, words, shown, now
    )
    return Chosen(choice, case)


def withdraw(
    tx: Transaction, campaign: Campaign, customer: Customer, now: datetime, *, expected: int | None, operator: str,
    reason: str, centre: ServiceCentre = NO_CENTRE,
) -> Chosen:  # fmt: skip
    """An operator takes the customer's choice back; the case says so and stays. Raises as `withdraw_choice`."""
    choice = withdraw_choice(tx, campaign, customer, now, expected=expected, operator=operator, reason=reason)
    words = f"Valet är återtaget av {choice.by}: {choice.reason}"
    case = put_case(tx, campaign.id, customer.id, reference_of(campaign, customer), "", words, choice.by, now)
    _tell(tx, centre, "choice.withdrawn", campaign, customer, choice, case, words, None, now)
    return Chosen(choice, case)


def tell_live(
    tx: Transaction,
    centre: ServiceCentre,
    campaign: Campaign,
    customer: Customer,
    choice: Choice,
    case: Case,
    now: datetime,
) -> None:
    """Tell the service centre that all of the customer's mail goes by its choice, and that the case is closed here."""
    _tell(
        tx, centre, "choice.live", campaign, customer, choice, case, "I drift: ärendet är avslutat hos oss.", None, now
    )


def reference_of(campaign: Campaign, customer: Customer) -> str:
    """What the case is called on both sides, before and after it has got a number."""
    return f"{campaign.slug}/{customer.slug}"


def _words(campaign: Campaign, choice: Choice, shown: Shown, before: Case | None) -> str:
    """The choice as a comment on the case."""
    name = campaign.alternative(choice.alternative).name[LANGUAGE]
    earlier = f" (tidigare {before.alternative or 'återtaget'})" if before else ""
    lines = [f"{'Ändrat val' if before else 'Val'}: {name}{earlier}."]
    lines.append(f"Gjort av {choice.by}{', på kundens vägnar' if choice.by_operator else ''}.")
    if choice.reason:
        lines.append(f"Skäl: {choice.reason}")
    if shown.price:
        lines.append(f"Visat pris: {shown.price}")
    return "\n".join(lines)


def _tell(
    tx: Transaction, centre: ServiceCentre, what: str, campaign: Campaign, customer: Customer, choice: Choice, case: Case,
    words: str, shown: Shown | None, now: datetime,
) -> None:  # fmt: skip
    about = f"case/{case.reference}"
    if centre.webhook:
        payload = _payload(what, campaign, customer, choice, case, shown)
        put_notice(tx, Kind.WEBHOOK, centre.webhook, payload, now, about=about)
    if centre.mail:
        put_notice(tx, Kind.MAIL, centre.mail, _mail(campaign, customer, case, words, now), now, about=about)


def _payload(
    what: str, campaign: Campaign, customer: Customer, choice: Choice, case: Case, shown: Shown | None
) -> dict[str, Any]:
    chosen = campaign.alternative(choice.alternative) if choice.alternative else None
    return {
        "type": what,
        "case": {"reference": case.reference, "number": case.number or None},
        "campaign": {"slug": campaign.slug, "name": campaign.name[LANGUAGE]},
        "customer": {"slug": customer.slug, "name": customer.name, "org_number": customer.org_number},
        "alternative": {"slug": chosen.slug, "kind": chosen.kind, "name": chosen.name[LANGUAGE]} if chosen else None,
        "chosen_by": choice.by,
        "by_operator": choice.by_operator,
        "reason": choice.reason,
        "shown": {"words": shown.words, "price": shown.price, "sha256": shown.sha256} if shown else None,
    }


def _mail(campaign: Campaign, customer: Customer, case: Case, words: str, now: datetime) -> dict[str, Any]:
    number = f" [{case.number}]" if case.number else ""
    lines = [
        words,
        "",
        f"Kund: {customer.name}{f' ({customer.org_number})' if customer.org_number else ''}",
        f"Kampanj: {campaign.name[LANGUAGE]}",
        f"Tid: {now.astimezone(STOCKHOLM):%Y-%m-%d %H:%M}",
        f"Referens: {case.reference}",
    ]
    return {"subject": f"Aktivt val: {customer.name}{number}", "text": "\n".join(lines) + "\n"}
