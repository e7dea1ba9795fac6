"""The steps lead to what the models say, on both databases."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

import ombud
from ombud.db import Database, metadata
from ombud.db.migrate import upgrade
from ombud.errors import Misconfigured

#: Nothing in them owns a table, and the last two run when they are imported.
_WITHOUT_TABLES = ("ombud.cli", "ombud.sandbox", "ombud.web", "ombud.smtp", "ombud.db.migrations", "ombud.__main__")

for module in pkgutil.walk_packages(ombud.__path__, "ombud."):  # every owner of tables adds them to the metadata
    if not module.name.startswith(_WITHOUT_TABLES):
        importlib.import_module(module.name)


def test_the_migrated_database_is_the_one_that_the_models_describe(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_second_upgrade_finds_nothing_to_do(database: Database) -> None:
    assert upgrade(database) is False


def test_a_database_newer_than_the_code_is_refused(database: Database) -> None:
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="newer"):
        upgrade(database)
