"""What each customer was told of a change of sub-processors, and when: read from the letters of the entry's campaign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ombud.accounts import Customer, load_directory
from ombud.campaigns.picture import members
from ombud.choices.subprocessors import Subprocessor
from ombud.db import Transaction
from ombud.notices.letters import Sent, letters_of
from ombud.queue import State


@dataclass(frozen=True, slots=True)
class Told:
    """What one customer was told first; all empty: nothing yet."""

    customer: Customer
    letter: str = ""  # which letter, and the version of its text
    version: str = ""
    address: str = ""
    sent_at: datetime | None = None
    arrived_at: datetime | None = None  # when the recipient's server had taken it; None: it has not, or not yet


def load_told(tx: Transaction, entry: Subprocessor) -> list[Told]:
    """Every customer, by slug, with the first letter that has arrived, or else the first that was sent."""
    first: dict[int, Sent] = {}
    for letter in letters_of(tx, campaign=entry.campaign) if entry.campaign else ():
        known = first.get(letter.customer_id)
        if known is None or (not _arrived(known) and _arrived(letter)):
            first[letter.customer_id] = letter
    return [_told(customer, first.get(customer.id)) for customer in members(tx, load_directory(tx))]


def _told(customer: Customer, letter: Sent | None) -> Told:
    if letter is None:
        return Told(customer)
    arrived_at = letter.outcome_at if _arrived(letter) else None
    return Told(customer, letter.text, letter.version, letter.address, letter.at, arrived_at)


def _arrived(letter: Sent) -> bool:
    return letter.outcome is State.DELIVERED
