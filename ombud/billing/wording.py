"""How months, days, counts and prices are written for people, in Swedish and English. Spaces are ordinary ones."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from ombud.billing.money import Money, UnitPrice

_MONTHS = {
    "sv": ("januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
}  # fmt: skip


def month_text(period: str, language: str) -> str:
    """`2024-05` as `maj 2024` or `May 2024`."""
    year, _, month = period.partition("-")
    return f"{_MONTHS[language][int(month) - 1]} {year}"


def days_text(start: date, end: date, language: str) -> str:
    """The days from `start` to `end`, inclusive, within a month: `10-31 maj`."""
    month = _MONTHS[language][start.month - 1]
    return f"{start.day} {month}" if start == end else f"{start.day}-{end.day} {month}"


def count_text(number: int, language: str) -> str:
    """`10 000`, or `10,000` in English."""
    return f"{number:,}" if language == "en" else f"{number:,}".replace(",", " ")


def money_text(money: Money, language: str) -> str:
    """`1 075,00 kr`, or `SEK 1,075.00` in English."""
    amount = amount_text(money, language)
    if language == "en":
        return f"{money.currency} {amount}"
    return f"{amount} {'kr' if money.currency == 'SEK' else money.currency}"


def amount_text(money: Money, language: str) -> str:
    """As `money_text`, without the currency: `1 075,00`, or `1,075.00` in English."""
    text = f"{money.rounded().amount:,f}"
    return text if language == "en" else text.replace(",", " ").replace(".", ",")


def price_text(price: UnitPrice, language: str) -> str:
    """What one costs: `1,2 öre`, never `0,01 kr`."""
    if price.currency == "SEK" and 0 < price.amount < 1:
        number = number_text(price.per(100))
        return f"{number} öre" if language == "en" else f"{number.replace('.', ',')} öre"
    number = number_text(price.amount)
    if language == "en":
        return f"{price.currency} {number}"
    return f"{number.replace('.', ',')} {'kr' if price.currency == 'SEK' else price.currency}"


def number_text(number: Decimal) -> str:
    """A number with a decimal point, no grouping, no exponent, and no zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
