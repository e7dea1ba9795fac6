"""Daily counts that outlive the mail."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0002"
down_revision = "0001"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
