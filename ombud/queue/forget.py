"""What is not kept for longer than it is needed: the bytes of mail that is over, and what its copies were made out with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, null, or_, select, update

from ombud.db import Transaction
from ombud.queue.states import State
from ombud.queue.tables import body_table, recipient_table

_b, _r = body_table.c, recipient_table.c
_FINAL = [state.value for state in State if state.final]


def bodies_to_forget(tx: Transaction, before: datetime, after: str, most: int) -> tuple[list[str], str]:
    """Look at the next `most` messages with bytes after the message `after` ("": from the first), in order of their ids.

    Those of them that have been over since before `before`, and the last one looked at, "" when there are no more. A message is
    over when every recipient is in a final state: until then its bytes may have to leave, and they stay however old they are.
    """
    ids = list(
        tx.execute(select(_b.message_id).where(_b.message_id > after).order_by(_b.message_id).limit(most)).scalars()
    )
    alive = exists().where(_r.message_id == _b.message_id, or_(_r.state.not_in(_FINAL), _r.changed_at >= before))
    over = tx.execute(select(_b.message_id).where(_b.message_id.in_(ids), ~alive)).scalars()
    return list(over), ids[-1] if len(ids) == most else ""


def forget_bodies(tx: Transaction, message_ids: Sequence[str]) -> int:
    """Delete their bytes, and the values that copies were made out with. What happened to them stays. Returns how many."""
    of_personal = _r.message_id.in_(message_ids) & _r.variables.is_not(None)
    tx.execute(update(recipient_table).where(of_personal).values(variables=null()))
    return tx.execute(delete(body_table).where(_b.message_id.in_(message_ids))).rowcount
