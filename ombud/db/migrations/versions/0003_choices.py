"""Campaigns, choices, extensions."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0003"
down_revision = "0002"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
