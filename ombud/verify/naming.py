"""How the rows that break a rule are named: recipients as `<message id>-<n>`, others by their table and key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, literal, select, union_all

from ombud.queue.tables import recipient_table

_r = recipient_table.c
RECIPIENT = (_r.message_id + "-" + cast(_r.n, Text)).label("name")


def recipients(*broken: ColumnElement[bool]) -> Select[Any]:
    """The recipients of which all this is true."""
    return select(RECIPIENT).where(*broken)


def named(table: str, key: ColumnElement[Any]) -> ColumnElement[str]:
    return (literal(table + " ") + cast(key, Text)).label("name")


def all_of(*parts: Select[Any]) -> Select[Any]:
    """What any of several questions finds."""
    found = union_all(*parts).subquery()
    return select(*found.c)
