"""The sender domains' invariants: each is watched, and signed for by keys that are there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select, union
from sqlalchemy import func as sql

from ombud.db import Transaction
from ombud.domains.keys import KeyState, signing_key_table
from ombud.domains.table import domain_table
from ombud.domains.watch import State
from ombud.domains.watchlist import watch_table
from ombud.verify.naming import named
from ombud.verify.rule import Rules

RULES = Rules()

_watch, _key = watch_table.c, signing_key_table.c


@RULES.add
def domain_unwatched(tx: Transaction) -> Select[Any]:
    """A proved domain is not watched."""
    return select(domain_table.c.name).where(domain_table.c.name.not_in(select(_watch.domain)))


@RULES.add
def domain_stops_when(tx: Transaction) -> Select[Any]:
    """A domain at risk has no time at which it stops, or one that is in order still has one."""
    at_risk = _watch.state.in_((State.AT_RISK, State.LOST))
    return select(_watch.domain.label("name")).where(at_risk == _watch.stop_at.is_(None))


@RULES.add
def keys_doubled(tx: Transaction) -> Select[Any]:
    """Two keys of a domain sign by the same algorithm, or two keys that are not revoked have one selector."""
    live = _key.state != KeyState.REVOKED
    at_a_time = (
        select(_key.domain)
        .where(_key.state == KeyState.ACTIVE)
        .group_by(_key.domain, _key.algorithm)
        .having(sql.count() > 1)
    )
    one_name = select(_key.domain).where(live).group_by(_key.domain, _key.selector).having(sql.count() > 1)
    both = union(at_a_time, one_name).subquery()
    return select(named("domain", both.c.domain))


@RULES.add
def key_half_there(tx: Transaction) -> Select[Any]:
    """A key that is not revoked has lost its private half, or a revoked one still has it."""
    gone = sql.length(_key.sealed_private) == 0
    return select(named("key", _key.id)).where(gone != (_key.state == KeyState.REVOKED))
