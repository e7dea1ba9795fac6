"""Switches of route, overrides, warnings."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0004"
down_revision = "0003"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
