"""Group commit: together, durable before the answer, and no piece takes another down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import IntegrityError

from ombud.db import Database, GroupCommit, Transaction
from ombud.errors import DatabaseGone, ShuttingDown


@pytest.fixture
async def group(database: Database) -> AsyncIterator[GroupCommit]:
    with database.write() as tx:
        tx.execute(text("CREATE TABLE piece (n INTEGER PRIMARY KEY)"))
    group = GroupCommit(database)
    group.start()
    yield group
    group.stop()


def add(tx: Transaction, numbers: Sequence[int]) -> list[int]:
    tx.execute(text("INSERT INTO piece VALUES (:n)"), [{"n": n} for n in numbers])
    return [n * 2 for n in numbers]


def stored(database: Database) -> list[int]:
    with database.read() as tx:
        return [row.n for row in tx.execute(text("SELECT n FROM piece ORDER BY n"))]


async def test_each_caller_gets_the_answer_to_its_own_piece(group: GroupCommit, database: Database) -> None:
    answers = await asyncio.gather(*(group.run(add, n) for n in range(50)))
    assert answers == [n * 2 for n in range(50)]
    assert stored(database) == list(range(50))


async def test_work_that_arrives_together_commits_together(group: GroupCommit) -> None:
    await asyncio.gather(*(group.run(add, n) for n in range(200)))
    assert group.pieces == 200
    assert group.commits < 20


async def test_it_is_committed_when_the_answer_comes(group: GroupCommit, database: Database) -> None:
    await group.run(add, 1)
    assert stored(database) == [1]


async def test_one_failing_piece_does_not_take_the_others_down(group: GroupCommit, database: Database) -> None:
    await group.run(add, 7)
    results = await asyncio.gather(*(group.run(add, n) for n in range(10)), return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, IntegrityError)] == [7]
    assert stored(database) == list(range(10))


async def test_a_verb_may_answer_a_piece_with_an_error_of_its_own(group: GroupCommit, database: Database) -> None:
    def only_even(tx: Transaction, numbers: Sequence[int]) -> list[int | Exception]:
        add(tx, [n for n in numbers if n % 2 == 0])
        return [n if n % 2 == 0 else ValueError(n) for n in numbers]

    results = await asyncio.gather(*(group.run(only_even, n) for n in range(6)), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["int", "ValueError"] * 3
    assert stored(database) == [0, 2, 4]


async def test_what_was_handed_in_before_the_stop_is_committed(group: GroupCommit, database: Database) -> None:
    waiting = [asyncio.ensure_future(group.run(add, n)) for n in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(group.stop)
    assert await asyncio.gather(*waiting) == [n * 2 for n in range(20)]
    with pytest.raises(ShuttingDown):
        await group.run(add, 99)
    assert stored(database) == list(range(20))


async def test_a_caller_that_goes_away_leaves_its_piece_committed(group: GroupCommit, database: Database) -> None:
    gone = asyncio.ensure_future(group.run(add, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await group.run(add, 2)
    assert stored(database) == [1, 2]


@pytest.fixture
async def postgres_group(postgres_database: Database) -> AsyncIterator[GroupCommit]:
    with postgres_database.write() as tx:
        tx.execute(text("CREATE TABLE piece (n INTEGER PRIMARY KEY)"))
    group = GroupCommit(postgres_database)
    group.start()
    yield group
    group.stop()


async def test_a_database_that_dies_is_told_as_try_later_and_comes_back(
    postgres_group: GroupCommit, postgres_database: Database
) -> None:
    def die(tx: Transaction, pieces: Sequence[int]) -> list[int]:
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return list(pieces)

    with pytest.raises(DatabaseGone):
        await postgres_group.run(die, 1)
    assert await postgres_group.run(add, 2) == 4
    assert stored(postgres_database) == [2]


async def test_no_writer_ends_because_another_was_quicker(postgres_group: GroupCommit) -> None:
    for round in range(30):
        await asyncio.gather(*(postgres_group.run(add, round * 10 + n) for n in range(10)))
    assert all(thread.is_alive() for thread in postgres_group._threads)


async def test_a_commit_whose_answer_was_lost_is_looked_up_and_told_as_done(
    postgres_group: GroupCommit, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = DefaultDialect.do_commit

    def commit_and_lose_the_answer(self: DefaultDialect, connection: Any) -> None:
        commit(self, connection)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as lossy:
        lossy.setattr(DefaultDialect, "do_commit", commit_and_lose_the_answer)
        assert await postgres_group.run(add, 5) == 10
    assert stored(postgres_database) == [5]
