"""What the service centre answers when it is told of a choice: its own number of the case, where it has one at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ombud.campaigns.cases import attach_number, find_case
from ombud.db import Transaction
from ombud.notices.outbox import Notice

_ABOUT = "case/"
BY = "service centre"


def learn_case_number(tx: Transaction, notice: Notice, answer: Mapping[str, Any], now: datetime) -> bool:
    """Attach the `number` of the answer to the case that the notice was about. Says whether it was news.

    Raises what `find_case` and `attach_number` do.
    """
    number = answer.get("number")
    if not notice.about.startswith(_ABOUT) or not isinstance(number, str | int) or isinstance(number, bool):
        return False
    return attach_number(tx, find_case(tx, notice.about.removeprefix(_ABOUT)), str(number), BY, now)
