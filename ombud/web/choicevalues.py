"""What the templates of a choice's pages are given: values of the campaign and its choices, in the reader's words."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from ombud.accounts.vendor import Vendor
from ombud.campaigns import sentences
from ombud.campaigns.bylink import Asked, Company, Place
from ombud.choices import Alternative
from ombud.wording import said_moment

_HEADING = re.compile(r"<(/?)h([1-4])>")


def about_vendor(vendor: Vendor | None) -> dict[str, str]:
    """Whose pages they are, and who answers questions."""
    if vendor is None:
        return {"vendor": "", "phone": "", "email": ""}
    return {"vendor": vendor.name, "phone": vendor.phone, "email": str((vendor.reply_to or vendor.sender).address)}


def about_alternative(place: Place, alternative: Alternative, company: Company, language: str) -> dict[str, Any]:
    shown = place.presenter.shown(company.customer, alternative.slug, language)
    name, _, text = shown.words.partition("\n\n")
    theirs, ours = sentences.duties(alternative, language)
    return {
        "slug": alternative.slug, "name": name, "text": text, "price": shown.price, "recommended": alternative.recommended,
        "theirs": theirs, "ours": ours,
        "chosen": company.choice is not None and company.choice.alternative == alternative.slug,
    }  # fmt: skip


def to_confirm(place: Place, alternative: Alternative, company: Company, language: str) -> dict[str, Any]:
    """One company of the confirmation, with the field that says what was shown."""
    shown = place.presenter.shown(company.customer, alternative.slug, language)
    before = place.campaign.alternative(company.choice.alternative).name[language] if company.choice else ""
    field = f"{company.customer.slug}:{company.newest if company.newest is not None else ''}:{shown.sha256}"
    return {
        "name": company.customer.name,
        "org_number": company.customer.org_number,
        "price": shown.price,
        "before": before,
        "field": field,
    }


def asked_of(text: str) -> Asked:
    slug, _, rest = text.partition(":")
    expected, _, shown = rest.partition(":")
    number = int(expected) if expected.isascii() and expected.isdecimal() and len(expected) < 16 else None
    return Asked(slug, number, shown)


def about_choice(place: Place, company: Company, language: str) -> dict[str, Any]:
    choice, case = company.choice, company.case
    assert choice is not None
    return {
        "customer": company.customer.name,
        "alternative": place.campaign.alternative(choice.alternative).name[language],
        "by": choice.by.partition(" <")[0],
        "by_operator": choice.by_operator,
        "reason": choice.reason,
        "at": said_moment(choice.at, language),
        "case": (case.number or case.reference) if case else "",
        "numbered": bool(case and case.number),
    }


def about_other(place: Place, company: Company, language: str) -> dict[str, str]:
    chosen = place.campaign.alternative(company.choice.alternative).name[language] if company.choice else ""
    return {"slug": company.customer.slug, "name": company.customer.name, "chosen": chosen}


def lower(page: str) -> Markup:
    """A page's HTML with its headings two degrees lower, where it stands within another. (It is escaped: `fill_page`.)"""
    return Markup(_HEADING.sub(lambda tag: f"<{tag[1]}h{int(tag[2]) + 2}>", page))  # noqa: S704
