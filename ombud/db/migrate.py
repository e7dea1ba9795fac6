"""Brings a database to the shape that this version needs; refuses one that is newer than the code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ombud.db.database import Database
from ombud.errors import Misconfigured

#: Any number that nothing else in the database uses.
_LOCK = 0x6F6D627564


def upgrade(database: Database) -> bool:
    """Run the steps that are missing. Says whether there were any. Raises Misconfigured when the database is newer than Ombud."""
    config = _config()
    with database.engine.connect() as connection, _alone(database, connection):
        at, head = MigrationContext.configure(connection).get_current_revision(), _known(config, connection)
        connection.commit()
        if at == head:
            return False
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        return True


def _known(config: Config, connection: Connection) -> str | None:
    """The newest step there is. Raises Misconfigured when the database has taken one that is not known here."""
    script = ScriptDirectory.from_config(config)
    at = MigrationContext.configure(connection).get_current_revision()
    if at is not None and at not in {step.revision for step in script.walk_revisions()}:
        raise Misconfigured(reason=f"the database is at step {at}, which is newer than this version of Ombud")
    return script.get_current_head()


@contextmanager
def _alone(database: Database, connection: Connection) -> Iterator[None]:
    """Of two processes that start at once, one waits for the other's steps. (SQLite's write lock does the same.)"""
    if not database.postgres:
        yield
        return
    connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK})
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _LOCK})
        connection.commit()


def step_of(database: Database) -> str | None:
    """The last step that the database has taken."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
