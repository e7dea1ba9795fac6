"""Daily counts: summed, never lost between writers, and the same as the meter's rows."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from importlib import import_module

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text

from ombud.clock import day_begins, day_of, month_days, month_of
from ombud.db import Database, Transaction
from ombud.usage import Counted, Tally, add_tallies, tallies, tally_table, usage_table

MAY_7, MAY_8 = date(2024, 5, 7), date(2024, 5, 8)


def tally(
    number: int, *, day: date = MAY_7, customer: int = 1, route: int = 1, what: Counted = Counted.BILLABLE
) -> Tally:
    return Tally(day, customer, 1, route, what, number)


def test_counts_add_up_within_a_transaction_and_over_several(database: Database) -> None:
    for _ in range(3):
        with database.write() as tx:
            add_tallies(tx, [tally(2), tally(5), tally(1, what=Counted.REFUSED, route=0)])
    with database.read() as tx:
        assert tallies(tx, MAY_7, MAY_8) == [tally(3, what=Counted.REFUSED, route=0), tally(21)]


def test_days_customers_and_kinds_are_kept_apart(database: Database) -> None:
    with database.write() as tx:
        add_tallies(tx, [tally(1), tally(2, day=MAY_8), tally(3, customer=2), tally(4, what=Counted.FREE)])
    with database.read() as tx:
        assert tallies(tx, MAY_8, date(2024, 6, 1)) == [tally(2, day=MAY_8)]
        assert tallies(tx, MAY_7, MAY_8, customer_id=2) == [tally(3, customer=2)]
        assert tallies(tx, MAY_7, MAY_8, what=[Counted.FREE]) == [tally(4, what=Counted.FREE)]
        assert tallies(tx, MAY_7, MAY_7) == []


def test_what_is_rolled_back_was_never_counted(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin() as transaction:
        add_tallies(Transaction(connection), [tally(2)])
        transaction.rollback()
    with database.read() as tx:
        assert tallies(tx, MAY_7, MAY_8) == []


def test_a_count_never_falls(database: Database) -> None:
    with database.write() as tx, pytest.raises(ValueError, match="never falls"):
        add_tallies(tx, [tally(-1)])


def test_nothing_counted_writes_nothing(database: Database) -> None:
    with database.write() as tx:
        add_tallies(tx, [])
        add_tallies(tx, [tally(0)])
        assert tx.execute(tally_table.select()).all() == []


def test_writers_do_not_wait_for_each_other_and_lose_nothing(postgres_database: Database) -> None:
    """Two transactions count the same thing before either has committed: on one row, the second would wait for ever here."""
    both_counted = threading.Barrier(2, timeout=20)

    def count() -> None:
        with postgres_database.write() as tx:
            add_tallies(tx, [tally(1, customer=2), tally(1)])
            both_counted.wait()
            add_tallies(tx, [tally(1), tally(1, customer=2)])

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with postgres_database.read() as tx:
        assert [one.number for one in tallies(tx, MAY_7, MAY_8)] == [4, 4]


def test_one_writer_at_a_time_makes_one_row_of_a_count(postgres_database: Database) -> None:
    for _ in range(5):
        with postgres_database.write() as tx:
            add_tallies(tx, [tally(1)])
    with postgres_database.read() as tx:
        assert len(tx.execute(tally_table.select()).all()) == 1


def test_more_writers_than_shards_share_one(postgres_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ombud.usage.tally._FREE_SHARD", text("SELECT 1 WHERE :space < 0"))
    with postgres_database.write() as tx:
        add_tallies(tx, [tally(3)])
    with postgres_database.read() as tx:
        assert tallies(tx, MAY_7, MAY_8) == [tally(3)]


def test_the_step_counts_what_was_metered_before_it(database: Database) -> None:
    """Midnight in Stockholm parts the days, in summer and in winter, not midnight in UTC."""
    moments = [
        datetime(2024, 5, 7, 21, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 5, 7, 22, 0, tzinfo=UTC),
        datetime(2024, 1, 31, 22, 59, tzinfo=UTC),
        datetime(2024, 1, 31, 23, 0, tzinfo=UTC),
    ]
    with database.engine.connect() as connection, connection.begin() as transaction:
        if database.postgres:
            connection.execute(text("ALTER TABLE usage DROP CONSTRAINT fk_usage_recipient_id"))
        else:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        rows = [
            {
                "recipient_id": n, "customer_id": 1, "product_id": 1, "route_id": 1, "period": month_of(at),
                "handed_over_at": at, "billable": n != 1,
            }
            for n, at in enumerate(moments)
        ]  # fmt: skip
        connection.execute(insert(usage_table), rows)
        with Operations.context(MigrationContext.configure(connection)):
            import_module("ombud.db.migrations.versions.0002_tally")._count_what_is_metered()
        found = connection.execute(tally_table.select().order_by("day")).all()
        transaction.rollback()
    assert [(row.day, row.what, row.number) for row in found] == [
        (date(2024, 1, 31), "billable", 1),
        (date(2024, 2, 1), "billable", 1),
        (date(2024, 5, 7), "billable", 1),
        (date(2024, 5, 8), "free", 1),
    ]


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_moment_lies_in_its_day_and_its_month(moment: datetime) -> None:
    day = day_of(moment)
    assert day_begins(day) <= moment < day_begins(date.fromordinal(day.toordinal() + 1))
    first, after = month_days(month_of(moment))
    assert first <= day < after
