"""The dry run: what a moment to come would do to the mail of today. The same `decide` that decides the real mail is asked about
that moment, and its answers are laid over what each customer has sent in the last days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ombud.accounts import Customer, Directory, Product, load_directory
from ombud.campaigns.picture import members
from ombud.choices import Campaign
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.routing import Action, Facts, decide, load_facts
from ombud.usage import Counted
from ombud.usage.totals import totals_by_product

#: By (customer, product, what).
Traffic = Mapping[tuple[int, int, Counted], int]

LONGEST_REPLAY = 400  # days
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would become of one customer's mail from one product."""

    customer: Customer
    product: Product
    action: Action
    reason: str
    messages: int  # recipients that were accepted in the replayed days
    to_gmail: int  # of these, those at Google's consumer domains

    @property
    def stopped(self) -> bool:
        return self.action is not Action.SEND

    @property
    def gmail_share(self) -> float:
        return round(self.to_gmail / self.messages, 4) if self.messages else 0.0


@dataclass(frozen=True, slots=True)
class DryRun:
    campaign: Campaign
    at: datetime
    since: date  # the days replayed: from this one on
    until: date  # up to this one, which is not counted
    outcomes: tuple[Outcome, ...]  # each customer's for each of the campaign's products

    @property
    def stopped(self) -> tuple[Outcome, ...]:
        """What would not leave, most mail first."""
        return tuple(sorted((one for one in self.outcomes if one.stopped), key=lambda one: -one.messages))

    @property
    def stopped_customers(self) -> int:
        return len({one.customer.id for one in self.outcomes if one.stopped})

    @property
    def stopped_messages(self) -> int:
        return sum(one.messages for one in self.outcomes if one.stopped)

    @property
    def stopped_to_gmail(self) -> int:
        return sum(one.to_gmail for one in self.outcomes if one.stopped)


def dry_run(tx: Transaction, campaign_slug: str, at: datetime, now: datetime, replay: int = 30) -> DryRun:
    """What would happen at `at` to mail like that of the `replay` days up to `now`. Raises UnknownCampaign."""
    facts, directory = load_facts(tx), load_directory(tx)
    campaign = facts.choices.campaign(campaign_slug)
    until = now.astimezone(STOCKHOLM).date() + DAY
    since = until - replay * DAY
    traffic = totals_by_product(tx, since, until, (Counted.ACCEPTED, Counted.TO_GMAIL))
    outcomes = replayed(facts, directory, campaign, members(tx, directory), at, traffic)
    return DryRun(campaign, at, since, until, tuple(outcomes))


def replayed(
    facts: Facts,
    directory: Directory,
    campaign: Campaign,
    customers: Iterable[Customer],
    at: datetime,
    traffic: Traffic,
) -> Iterable[Outcome]:
    """An outcome for each customer and each of the campaign's products, traffic or not. Pure."""
    products = [directory.product_by_id(number) for number in campaign.products]
    for customer in customers:
        for product in products:
            decision = decide(facts, customer.id, product.id, at)
            yield Outcome(
                customer, product, decision.action, decision.reason,
                traffic.get((customer.id, product.id, Counted.ACCEPTED), 0),
                traffic.get((customer.id, product.id, Counted.TO_GMAIL), 0),
            )  # fmt: skip
