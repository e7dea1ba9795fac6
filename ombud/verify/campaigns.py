"""The cases' invariants: one for each customer that has chosen, and it says what was chosen last."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, not_, select
from sqlalchemy import func as sql

from ombud.campaigns.cases import case_table
from ombud.choices.choosing import choice_table
from ombud.db import Transaction
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_case, _choice = case_table.c, choice_table.c


@RULES.add
def case_missing(tx: Transaction) -> Select[Any]:
    """A customer has chosen in a campaign and has no case there."""
    its_own = exists().where(_case.campaign_id == _choice.campaign_id, _case.customer_id == _choice.customer_id)
    return select(named("customer", _choice.customer_id)).where(not_(its_own)).distinct()


@RULES.add
def case_differs(tx: Transaction) -> Select[Any]:
    """A case says another alternative than what was chosen last, or nothing was ever chosen."""
    chain = select(_choice.campaign_id, _choice.customer_id, sql.max(_choice.number).label("last"))
    last = chain.group_by(_choice.campaign_id, _choice.customer_id).subquery().c
    newest = exists().where(
        _choice.campaign_id == _case.campaign_id, _choice.customer_id == _case.customer_id,
        _choice.campaign_id == last.campaign_id, _choice.customer_id == last.customer_id, _choice.number == last.last,
        sql.coalesce(_choice.alternative, "") == _case.alternative,
    )  # fmt: skip
    return select(named("case", _case.reference)).where(not_(newest))
