"""What a customer is shown in a campaign: pages with its own values, and each alternative with its words and its price.

presenter = load_presenter(tx, campaign, now)      a handful of questions, however many customers are to be shown something
presenter.shown(customer, "own", "sv") -> Shown    what stands on the page of the choice, and is kept with the choice
presenter.page(Page.FAQ, customer, "sv") -> HTML
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ombud.accounts import Customer, Directory, load_directory
from ombud.accounts.vendor import Vendor, load_vendor
from ombud.billing.money import Money
from ombud.billing.planbook import load_plans
from ombud.billing.plans import Plans, PricePlan
from ombud.billing.price import Priced, price
from ombud.billing.wording import price_text
from ombud.choices import Alternative, Campaign, Choices, Kind, Page, Shown, load_choices, page_text
from ombud.choices.pages import Question, fill_page, fill_text, questions
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.errors import NotFound
from ombud.usage import Counted, tallies
from ombud.usage.totals import totals_by_customer
from ombud.wording import HARD_SPACE, said_day, said_list, said_number

#: What a customer's own volume is measured over.
DAYS = 30
#: What an example is worked out for.
EXAMPLE = 40_000
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Volume:
    """How many recipients a customer's mail had in the last 30 days, and how many of them were at Gmail."""

    emails: int = 0
    gmail: int = 0


@dataclass(frozen=True, slots=True)
class Presenter:
    """Everything that is needed to show a campaign to any of its customers, at one moment."""

    campaign: Campaign
    now: datetime
    directory: Directory
    choices: Choices
    plans: Plans
    volumes: Mapping[int, Volume]
    vendor: Vendor | None
    texts: Mapping[tuple[Page, str], str]

    def shown(self, customer: Customer, alternative: str, language: str) -> Shown:
        """What someone at the customer sees of this alternative before choosing it. Raises AlternativeNotOffered."""
        one, values = self.campaign.alternative(alternative), self.values(customer, language)
        words = f"{one.name[language]}\n\n{one.text[language]}"
        versions = {f"{page}.{written}": kept.version for (page, written), kept in self.campaign.pages.items()}
        seen = {name: version for name, version in versions.items() if name.endswith(f".{language}")}
        return Shown(
            words=fill_text(words, values),
            price=self.price_words(customer, one, language),
            language=language,
            texts={"campaign": self.campaign.version, **seen},
        )

    def page(self, page: Page, customer: Customer, language: str, link: str = "") -> str:
        """One of the campaign's pages as HTML, with the customer's values. Raises NotFound when there is no such page."""
        return fill_page(self._text(page, language), self.values(customer, language, link))

    def page_as_text(self, page: Page, customer: Customer, language: str, link: str = "") -> str:
        """The same as Markdown."""
        return fill_text(self._text(page, language), self.values(customer, language, link))

    def questions(self, customer: Customer, language: str, link: str = "") -> list[Question]:
        """The FAQ taken apart, each question as text and each answer as HTML, with the customer's values."""
        values = self.values(customer, language, link)
        return [
            Question(fill_text(one.question, values), fill_page(one.answer, values))
            for one in questions(self._text(Page.FAQ, language))
        ]

    def values(self, customer: Customer, language: str, link: str = "") -> dict[str, str]:
        """What each of `choices.pages.NAMES` is for this customer."""
        campaign, vendor = self.campaign, self.vendor
        volume = self.volumes.get(customer.id, Volume())
        choice = self.choices.active(campaign.id, customer.id)
        recommended = [one.name[language] for one in campaign.offered if one.recommended]
        return {
            "company": customer.name,
            "org_number": customer.org_number or NOTHING,
            "contact": customer.contact_name or customer.name,
            "vendor": vendor.name if vendor else NOTHING,
            "campaign": campaign.name[language],
            "products": said_list([self.directory.product_by_id(one).name for one in campaign.products], language),
            "start_date": said_day(campaign.start_date, language),
            "risk_date": said_day(campaign.risk_date, language),
            "stop_date": said_day(campaign.stop_date, language),
            "last_extension_date": said_day(campaign.last_extension_date, language),
            "days_left": str(max(0, (campaign.stop_date - campaign.today(self.now)).days)),
            "emails_a_month": said_number(volume.emails, language),
            "gmail_a_month": said_number(volume.gmail, language),
            **self._prices(customer, volume, language),
            "alternatives": said_list([one.name[language] for one in campaign.offered], language),
            "recommended": said_list(recommended, language) or NOTHING,
            "chosen": campaign.alternative(choice.alternative).name[language] if choice else NOTHING,
            "link": link,
            "phone": (vendor.phone if vendor else "") or NOTHING,
            "email": str((vendor.reply_to or vendor.sender).address) if vendor else NOTHING,
        }

    def price_words(self, customer: Customer, alternative: Alternative, language: str) -> str:
        """What this alternative costs, in a sentence or two; "" when the campaign says nothing of prices."""
        if not self.campaign.price_plan and not alternative.price_plan:
            return ""
        plan = self.plan_of(customer, alternative)
        if plan is None:
            free = {
                "sv": "Kostar inget hos oss, hur många mejl ni än skickar.",
                "en": "Costs nothing with us, however many e-mails you send.",
            }
            return free[language]
        volume = self.volumes.get(customer.id, Volume())
        fee, each = said_money(plan.fixed_fee, language), price_text(plan.price, language).replace(" ", HARD_SPACE)
        included, emails = said_number(plan.included, language), said_number(volume.emails, language)
        cost = said_money(price(plan, volume.emails).net, language)
        if language == "sv":
            yours = (
                f" Er volym de senaste {DAYS} dagarna, {emails} mejl, kostar {cost} i månaden." if volume.emails else ""
            )
            return f"{fee} i månaden. I det ingår {included} mejl; varje mejl därutöver kostar {each}.{yours} Priserna är utan moms."
        yours = (
            f" Your volume of the last {DAYS} days, {emails} e-mails, costs {cost} a month." if volume.emails else ""
        )
        return f"{fee} a month. It includes {included} e-mails; each further e-mail costs {each}.{yours} Prices are without VAT."

    def plan_of(self, customer: Customer, alternative: Alternative) -> PricePlan | None:
        """The price plan of the alternative as it is today, or on its first day; None: it costs nothing."""
        slug = self.campaign.plan_of(alternative)
        if not slug or slug not in self.plans.versions:
            return None
        day = max(self.campaign.today(self.now), self.plans.versions[slug][0].valid_from)
        return self.plans.plan(slug, day, customer.id)

    def priced(self, customer: Customer, alternative: Alternative, emails: int | None = None) -> Priced | None:
        """What so many e-mails a month (None: the customer's own volume) cost by the alternative; None: nothing."""
        plan = self.plan_of(customer, alternative)
        if plan is None:
            return None
        return price(plan, self.volumes.get(customer.id, Volume()).emails if emails is None else emails)

    def _prices(self, customer: Customer, volume: Volume, language: str) -> dict[str, str]:
        """The prices of the subcontractor's alternative."""
        paid = next((one for one in self.campaign.alternatives if one.kind is Kind.SUBCONTRACTOR and one.offered), None)
        plan = self.plan_of(customer, paid) if paid else None
        names = ("included", "fixed_fee", "unit_price", "cost", "cost_with_vat", "cost_of_40000")
        if plan is None:
            return dict.fromkeys(names, NOTHING)
        own = price(plan, volume.emails)
        return {
            "included": said_number(plan.included, language),
            "fixed_fee": said_money(plan.fixed_fee, language),
            "unit_price": price_text(plan.price, language).replace(" ", HARD_SPACE),
            "cost": said_money(own.net, language),
            "cost_with_vat": said_money(own.total, language),
            "cost_of_40000": said_money(price(plan, EXAMPLE).net, language),
        }

    def _text(self, page: Page, language: str) -> str:
        if (page, language) not in self.texts:
            raise NotFound(kind="page", name=f"{page} ({language}) in {self.campaign.slug}")
        return self.texts[page, language]


def load_presenter(tx: Transaction, campaign: Campaign, now: datetime, customer_id: int | None = None) -> Presenter:
    """Read what is needed; the volumes of one customer, or of all (None)."""
    return Presenter(
        campaign=campaign,
        now=now,
        directory=load_directory(tx),
        choices=load_choices(tx),
        plans=load_plans(tx),
        volumes=load_volumes(tx, now, customer_id),
        vendor=load_vendor(tx),
        texts={key: page_text(tx, campaign, *key).text for key in campaign.pages},
    )


def load_volumes(tx: Transaction, now: datetime, customer_id: int | None = None) -> dict[int, Volume]:
    """By customer, over the last 30 whole days in Stockholm."""
    until = now.astimezone(STOCKHOLM).date()
    since, what = until - timedelta(days=DAYS), {Counted.ACCEPTED, Counted.TO_GMAIL}
    if customer_id is None:
        sums = dict(totals_by_customer(tx, since, until, what))
    else:
        sums = Counter[tuple[int, Counted]]()
        for one in tallies(tx, since, until, customer_id=customer_id, what=what):
            sums[customer_id, one.what] += one.number
    return {
        customer: Volume(sums.get((customer, Counted.ACCEPTED), 0), sums.get((customer, Counted.TO_GMAIL), 0))
        for customer, _ in sums
    }


def said_money(money: Money, language: str) -> str:
    """An amount within a sentence, without öre where there are none: `860 kr`, `500,01 kr`, `SEK 860`."""
    amount = money.rounded().amount
    whole, _, fraction = f"{amount:f}".partition(".")
    number = said_number(int(whole), language)
    if fraction.strip("0"):
        number += f"{',' if language == 'sv' else '.'}{fraction}"
    if language == "sv":
        return f"{number}{HARD_SPACE}{'kr' if money.currency == 'SEK' else money.currency}"
    return f"{money.currency}{HARD_SPACE}{number}"
