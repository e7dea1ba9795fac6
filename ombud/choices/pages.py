"""A campaign's pages: Markdown in which `{{name}}` stands for the reading customer's own value.

Values are put in after the Markdown has become HTML, escaped: a value can never become a heading, a link or anything but text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt

from ombud.mail.template import render, variables

#: Every name that a campaign's texts may give, with what it stands for. Dates and numbers come in the reader's language.
NAMES: Mapping[str, str] = {
    "company": "the customer's name",
    "org_number": "its organisation number",
    "contact": "its contact's name",
    "vendor": "the vendor's name",
    "campaign": "the campaign's name",
    "products": "the campaign's products, as a list in a sentence",
    "start_date": "when the campaign began",
    "risk_date": "the risk date",
    "stop_date": "the stop date, the last day on which mail leaves without a choice",
    "last_extension_date": "the last day of any extension",
    "days_left": "how many days are left until the stop date's end; 0 after it",
    "emails_a_month": "how many recipients the customer's mail had in the last 30 days",
    "gmail_a_month": "how many of them were at Gmail",
    "included": "how many e-mails a month the fixed fee covers",
    "fixed_fee": "the fixed fee a month, such as `500 kr`",
    "unit_price": "the price of each further e-mail, such as `1,2 öre`",
    "cost": "what the customer's own volume costs a month with the subcontractor, without VAT",
    "cost_with_vat": "the same with VAT",
    "cost_of_40000": "what 40 000 e-mails cost a month, without VAT",
    "alternatives": "the names of the alternatives, as a list in a sentence",
    "recommended": "the recommended alternative's name",
    "chosen": "the name of the alternative that the customer has chosen, or a dash",
    "link": "the address where the choice is made",
    "phone": "the vendor's telephone number",
    "email": "the vendor's address for questions",
}

_LINK_PLACE = re.compile(r"\{\{ {0,20}[a-z_]{1,64} {0,20}\}\}")
_HREF_PLACE = re.compile(r'href="(\{\{[^"}]*\}\})"')
_ADDRESS = re.compile(r"(?:https?://|mailto:|/)[!-~]*")
_HEADING = re.compile(r"^## +(.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a FAQ page with its answer, both still Markdown."""

    question: str
    answer: str


def unknown_names(text: str) -> list[str]:
    """What the text gives in double braces and nobody has a value for."""
    return sorted(variables(text) - NAMES.keys())


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """The Markdown itself with its values: for a terminal, and for what is kept of what was shown. Raises MissingVariable."""
    return render(text, values, "none")


def fill_page(text: str, values: Mapping[str, str]) -> str:
    """The page as HTML with its values. Markup in the Markdown other than its own is shown as text. Raises MissingVariable.

    A name may be a link's address (`[choose]({{link}})`); a value that is no address makes the link lead nowhere.
    """
    markdown = str(_markdown().render(text))
    checked = _HREF_PLACE.sub(lambda found: f'href="{_address(found[1], values)}"', markdown)
    return render(checked, values, "html")


def questions(text: str) -> list[Question]:
    """A FAQ page taken apart: each heading of the second degree is a question, what follows until the next its answer."""
    _, *rest = _HEADING.split(text)
    return [Question(title, answer.strip()) for title, answer in zip(rest[::2], rest[1::2], strict=True)]


def _address(place: str, values: Mapping[str, str]) -> str:
    """The place stays to be filled like any other, when its value is an address."""
    return place if _ADDRESS.fullmatch(render(place, values, "none")) else "#"


class _Markdown(MarkdownIt):
    def normalizeLink(self, url: str) -> str:  # noqa: N802 - as the library calls it
        """A place for an address is left as it is; all else is encoded as ever."""
        return url if _LINK_PLACE.fullmatch(url) else super().normalizeLink(url)


@cache
def _markdown() -> MarkdownIt:
    return _Markdown("commonmark", {"html": False})
