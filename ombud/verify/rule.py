"""What a rule is: one question that finds the rows which break it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy import func as sql

from ombud.db import Transaction

#: So many of the rows that break a rule are named.
EXAMPLES = 5

#: Finds the rows that break the rule: their names, as one column. The docstring says what is wrong where it finds something.
Find = Callable[[Transaction], Select[Any]]


class Rules(dict[str, Find]):
    """The rules of one part of the house by their codes, which are the functions' names."""

    def add(self, find: Find) -> Find:
        self[find.__name__] = find
        return find


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that does not hold: what it says is wrong, for how many rows, and the first of them by name.

    Messages are named by their id, recipients as `<message id>-<n>`; never by address.
    """

    rule: str
    count: int
    meaning: str
    examples: tuple[str, ...]

    @property
    def detail(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.meaning.rstrip('.')} ({self.count}: {', '.join(self.examples)}{more})"


def meaning_of(find: Find) -> str:
    return " ".join((find.__doc__ or "").split())


def ask(tx: Transaction, code: str, find: Find) -> Violation | None:
    """Ask one rule; None when it holds."""
    broken = find(tx).subquery()
    name = broken.c["name"]
    # The count goes with every row, so that one pass over the tables gives it and the examples.
    rows: Sequence[Any] = tx.execute(select(name, sql.count().over()).order_by(name).limit(EXAMPLES)).all()
    return Violation(code, rows[0][1], meaning_of(find), tuple(row[0] for row in rows)) if rows else None
