"""Statements of the hot path, on both databases: the same answers as SQLAlchemy's own way gives."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import bindparam, insert, select, union_all

from ombud.db import Database, Many, Question
from ombud.queue.tables import worker_table
from tests.conftest import NOON

_w = worker_table.c
_ALIVE = select(_w.id).where(
    _w.alive_until >= bindparam("at", type_=_w.alive_until.type), _w.id != bindparam("but"), _w.id != "gone"
)


@pytest.fixture
def workers(database: Database) -> Database:
    rows = [(name, NOON + timedelta(hours=n)) for n, name in enumerate(("early", "noon", "late", "gone"))]
    with database.write() as tx:
        assert Many(insert(worker_table), "id", "alive_until").run(tx, rows) == len(rows)
    return database


def test_a_question_gets_the_rows_with_its_values_and_its_constants(workers: Database) -> None:
    question = Question(_ALIVE)
    with workers.read() as tx:
        for at, but, found in ((1, "late", ["noon"]), (0, "late", ["early", "noon"]), (3, "late", [])):
            rows = question.ask(tx, {"at": NOON + timedelta(hours=at), "but": but})
            assert sorted(row[0] for row in rows) == found


def test_a_value_may_stand_in_several_places_of_one_question(workers: Database) -> None:
    with workers.read() as tx:
        rows = Question(union_all(_ALIVE, _ALIVE)).ask(tx, {"at": NOON, "but": "late"})
    assert sorted(row[0] for row in rows) == ["early", "early", "noon", "noon"]


def test_a_value_that_was_forgotten_is_an_error_and_not_a_null(workers: Database) -> None:
    with workers.read() as tx, pytest.raises(KeyError):
        Question(_ALIVE).ask(tx, {"at": NOON})
