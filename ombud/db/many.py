"""Statements of the hot path: one for many rows, and one that is asked again and again. SQLAlchemy writes the SQL, once for each
database, and then steps aside: its work each time would cost several times what the database's own does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import CompoundSelect, Dialect, Insert, Select, Table, Update
from sqlalchemy.dialects import postgresql

from ombud.db.database import Transaction

Row = tuple[Any, ...]


class Many:
    """`Many(statement, "a", "b").run(tx, [(1, 2), (3, 4)])`: a row holds the values of the bound names, in that order.

    An INSERT's names are its columns. At least two names.
    """

    def __init__(self, statement: Insert | Update, *names: str) -> None:
        self._statement, self._names = statement, names
        self._plans: dict[str, _Plan] = {}

    def run(self, tx: Transaction, rows: Sequence[Row]) -> int:
        """Run it for each row; none is fine. Returns how many rows of the table were changed."""
        if not rows:
            return 0
        plan = self._plans.get(tx.dialect.name) or self._plan(tx.dialect)
        return tx.run_many(plan.sql, plan.arranged(rows))

    def _plan(self, dialect: Dialect) -> _Plan:
        plan = self._plans[dialect.name] = _Plan(self._statement, self._names, dialect)
        return plan


class Question:
    """`Question(select).ask(tx, {"a": 1})`: the rows as the driver gives them, for columns that need no conversion (numbers, texts).

    At least two values are bound.
    """

    def __init__(self, statement: Select[Any] | CompoundSelect[Any]) -> None:
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def ask(self, tx: Transaction, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        plan = self._plans.get(tx.dialect.name) or self._plan(tx.dialect)
        known = {**plan.constants, **values}
        (arranged,) = plan.arranged([tuple(known[name] for name in plan.names)])
        return tx.ask(plan.sql, arranged)

    def _plan(self, dialect: Dialect) -> _Plan:
        names = tuple(self._statement.compile(dialect=dialect).params)
        plan = self._plans[dialect.name] = _Plan(self._statement, names, dialect)
        return plan


def insert_or_add(table: Table, number: str) -> Insert:
    """An INSERT that, where the row's key is there already, adds to the column `number` instead; both databases know it."""
    statement = postgresql.insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={number: table.c[number] + statement.excluded[number]},
    )


def insert_or_leave(table: Table) -> Insert:
    """An INSERT that does nothing where the row's key is there already."""
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key.columns))


class _Plan:
    """The SQL for one database, and how a row becomes what its driver wants."""

    def __init__(
        self, statement: Insert | Update | Select[Any] | CompoundSelect[Any], names: tuple[str, ...], dialect: Dialect
    ) -> None:
        compiled = statement.compile(
            dialect=dialect, column_keys=list(names) if isinstance(statement, Insert) else None
        )
        self.sql = str(compiled)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self.constants = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        self.names = names
        self._converters: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, name in enumerate(names)
            if (convert := binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]
        # By place (SQLite) or by name (psycopg), as the driver has it.
        self._arrange: Callable[[Row], Any] = (
            itemgetter(*(names.index(name) for name in compiled.positiontup)) if compiled.positiontup else self._named
        )

    def arranged(self, rows: Sequence[Row]) -> list[Any]:
        if self._converters:
            rows = [self._converted(row) for row in rows]
        return [self._arrange(row) for row in rows]

    def _converted(self, row: Row) -> Row:
        values = list(row)
        for place, convert in self._converters:
            values[place] = convert(values[place])
        return tuple(values)

    def _named(self, row: Row) -> dict[str, Any]:
        return dict(zip(self.names, row, strict=True))
