"""Opening a database: what is not safe is refused, what is not there is told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ombud.db import Database
from ombud.db.snapshot import Snapshot, revision, touch
from ombud.errors import DatabaseGone, Misconfigured, UnsafeDatabase


def test_a_fresh_sqlite_syncs_every_commit(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'new.db'}")
    assert database.weakness() == ""
    assert database.version().startswith("SQLite 3.")
    database.close()


def test_an_unsafe_setting_is_read_back_and_refused(postgres_database: Database) -> None:
    address = postgres_database.url.render_as_string(hide_password=False)
    with postgres_database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {postgres_database.url.database} SET synchronous_commit = off"))
    with pytest.raises(UnsafeDatabase, match="synchronous_commit"):
        Database.open(address)
    Database.open(address, unsafe=True).close()


def test_a_database_that_is_not_there_is_told() -> None:
    with pytest.raises(DatabaseGone):
        Database.open("postgresql://ombud@127.0.0.1:1/nothing")


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(Misconfigured, match="neither sqlite nor postgresql"):
        Database.open("mysql://localhost/ombud")


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(SQLAlchemyError), database.read() as tx:
        tx.execute(text("UPDATE revision SET number = 5"))


def test_a_snapshot_is_loaded_again_only_when_something_was_touched(database: Database) -> None:
    loads = []
    snapshot = Snapshot(lambda tx: loads.append(revision(tx)) or len(loads))
    assert snapshot.refresh(database) is True
    assert snapshot.refresh(database) is False
    with database.write() as tx:
        touch(tx)
    assert snapshot.refresh(database) is True
    assert snapshot.value == 2


def test_the_databases_clock_is_close_to_ours(database: Database) -> None:
    from datetime import UTC, datetime

    with database.write() as tx:
        assert abs((tx.now - datetime.now(UTC)).total_seconds()) < 2


def test_a_change_that_a_savepoint_took_back_is_told_of_when_it_is_made_again(database: Database) -> None:
    with database.read() as tx:
        before = revision(tx)
    with database.write() as tx:
        with suppress(ValueError), tx.savepoint():
            touch(tx)
            raise ValueError
        touch(tx)
        touch(tx)  # however much changes in a transaction, it is told of once
    with database.read() as tx:
        assert revision(tx) == before + 1
