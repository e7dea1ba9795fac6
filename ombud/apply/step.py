"""What one thing that a file asks for came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Done(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "same"

    @staticmethod
    def of(before: object | None, changed: bool) -> Done:
        """What putting something came to: `before` is what was there, or None."""
        if not changed:
            return Done.SAME
        return Done.ADDED if before is None else Done.CHANGED


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the file asks for, and what came of it."""

    done: Done
    kind: str  # regions | customer | route | product | assignment | domain | key | campaign | choice ...
    name: str
    detail: str = ""
    diff: str = ""  # of texts: a unified diff
    warning: str = ""  # what is dangerous in it: it is only done when someone has said yes


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """`name: old -> new` for each value that differs."""
    return ", ".join(f"{name}: {before[name]} -> {value}" for name, value in after.items() if before[name] != value)
