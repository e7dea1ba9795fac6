"""A choice: which alternative one customer goes by in one campaign, who said so and when, and what they were shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Shown:
    """What the one who chose had before their eyes, verbatim; it is kept for as long as the choice is."""

    words: str  # the alternative's words and what they would lead to, as shown
    price: str  # the price as shown; "": none was
    language: str
    texts: Mapping[str, int] = field(default_factory=dict)  # versions: {"campaign": 2, "notice": 1, "faq": 3, ...}

    @property
    def sha256(self) -> str:
        """The hash over all of it: two who have the same have seen the same."""
        all_of_it = [self.words, self.price, self.language, sorted(self.texts.items())]
        return sha256(json.dumps(all_of_it, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice, also one that a later has replaced. The newest of a customer and campaign is the active one."""

    id: int
    campaign_id: int
    customer_id: int
    number: int  # counts from 1 for each customer and campaign, without a gap
    alternative: str  # the slug; "": the choice was withdrawn, and nothing is chosen from here on
    at: datetime
    by: str  # who, as they are to be named: a person's name and address, or an operator's
    person_id: int | None  # the customer's person who chose; None: an operator did
    by_operator: bool
    reason: str  # why an operator chose for the customer; "" for the customer's own
    peer: str  # from where: an address of the network, or "" for a command
    campaign_version: int
    shown_sha256: str  # what they were shown: `shown_of`

    @property
    def withdrawn(self) -> bool:
        return not self.alternative
