"""Runs of exports."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0011"
down_revision = "0010"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
