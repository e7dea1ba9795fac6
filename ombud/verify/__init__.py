"""Checks every invariant of the database, over all of it, in one moment's state; for `ombud verify` and after each crash test.

It is the judge, and so the one place beside the owners that reads their tables: each rule is one question in SQL that finds the
rows which break it, written from what must hold and not from how the verbs keep it. There is a module for each part of the house
whose invariants are checked. It may run while the service does.
"""

from ombud.db import Transaction
from ombud.verify import accounts, billing, campaigns, choices, domains, notices, queue, routing, usage
from ombud.verify.rule import Find, Violation, ask, meaning_of

__all__ = ["RULES", "Violation", "meaning_of", "verify"]

_PARTS = (queue, accounts, routing, usage, choices, campaigns, notices, domains, billing)
#: Every rule by its code.
RULES: dict[str, Find] = {code: find for part in _PARTS for code, find in part.RULES.items()}


def verify(tx: Transaction) -> list[Violation]:
    """Ask every rule; [] when all hold. Takes seconds for 100 000 messages."""
    return [found for code, find in RULES.items() if (found := ask(tx, code, find))]
