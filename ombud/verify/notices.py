"""The notices' invariants: what is to be told is due, and a letter that is told has its message."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, not_, or_, select

from ombud.db import Transaction
from ombud.notices.letters import letter_table
from ombud.notices.outbox import State, notice_table
from ombud.queue.tables import message_table
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_notice, _letter, _m = notice_table.c, letter_table.c, message_table.c


@RULES.add
def notice_adrift(tx: Transaction) -> Select[Any]:
    """A notice waits and is never due, or it is settled and yet due."""
    waiting = _notice.state == State.WAITING
    return select(named("notice", _notice.ref)).where(waiting != _notice.due_at.is_not(None))


@RULES.add
def letter_unsent(tx: Transaction) -> Select[Any]:
    """A letter has no notice, or its notice is told and the letter names no message that there is."""
    kept = or_(
        _letter.message_id.is_(None) & (_notice.state != State.TOLD),
        exists().where(_m.id == _letter.message_id),
    )
    joined = letter_table.outerjoin(notice_table, _notice.ref == _letter.notice_ref)
    broken = or_(_notice.id.is_(None), not_(kept))
    return select(named("letter", _letter.key)).select_from(joined).where(broken)
