"""The invariants of who is asking: nobody acts, or opens a page, for another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, or_, select

from ombud.accounts.credentials import credential_table
from ombud.accounts.links import link_table
from ombud.accounts.people import person_table
from ombud.db import Transaction
from ombud.queue.tables import message_table
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_m, _link, _person = message_table.c, link_table.c, person_table.c


@RULES.add
def credential_differs(tx: Transaction) -> Select[Any]:
    """A message was submitted with a credential of another customer, product or mode."""
    c = credential_table.c
    return (
        select(_m.id.label("name"))
        .join(credential_table, c.id == _m.credential_id)
        .where(or_(c.product_id != _m.product_id, c.customer_id != _m.customer_id, c.mode != _m.mode))
    )


@RULES.add
def link_of_a_stranger(tx: Transaction) -> Select[Any]:
    """A personal link opens one customer's page for a person of another."""
    joined = link_table.join(person_table, _person.id == _link.person_id)
    return select(named("link", _link.id)).select_from(joined).where(_person.customer_id != _link.customer_id)
