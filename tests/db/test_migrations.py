"""The steps lead to what the models say, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

import ombud.accounts.links
import ombud.accounts.people
import ombud.billing.alarms
import ombud.billing.close
import ombud.billing.exports.runs
import ombud.billing.reconcile
import ombud.campaigns.cases
import ombud.choices.groups
import ombud.choices.subprocessors
import ombud.domains.claims
import ombud.domains.hostbook
import ombud.domains.ownership
import ombud.domains.proof
import ombud.domains.volume
import ombud.queue
import ombud.routing
import ombud.submission.idempotency
import ombud.usage  # noqa: F401  # every owner of tables adds them to the metadata
from ombud.db import Database, metadata
from ombud.db.migrate import upgrade
from ombud.errors import Misconfigured


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
