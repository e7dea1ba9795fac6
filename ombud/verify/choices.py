"""The choices' invariants: their history is whole, and each was made by somebody who may."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy import func as sql

from ombud.accounts.people import person_table
from ombud.choices.choosing import choice_table
from ombud.choices.extending import extension_table
from ombud.db import Transaction
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_choice, _extension, _person = choice_table.c, extension_table.c, person_table.c


@RULES.add
def choice_missing(tx: Transaction) -> Select[Any]:
    """The choices of a customer in a campaign are not numbered 1, 2, 3: a part of their history is gone."""
    chain = (
        select(_choice.customer_id, sql.max(_choice.number).label("last"), sql.count().label("links"))
        .group_by(_choice.campaign_id, _choice.customer_id)
        .subquery()
    )
    return select(named("customer", chain.c.customer_id)).where(chain.c.last != chain.c.links)


@RULES.add
def choice_by_a_stranger(tx: Transaction) -> Select[Any]:
    """A choice was made by a person of another customer, or by nobody."""
    strange = or_(
        _choice.by == "",
        _person.customer_id != _choice.customer_id,
        _choice.by_operator == _choice.person_id.is_not(None),
    )
    joined = choice_table.outerjoin(person_table, _person.id == _choice.person_id)
    return select(named("choice", _choice.id)).select_from(joined).where(strange)


@RULES.add
def extension_by_one(tx: Transaction) -> Select[Any]:
    """An extension was approved by the one who asked for it, or by nobody."""
    alone = or_(_extension.approved_by == "", sql.lower(_extension.approved_by) == sql.lower(_extension.asked_by))
    return select(named("extension", _extension.id)).where(_extension.approved_at.is_not(None), alone)
