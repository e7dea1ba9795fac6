"""Claims, checks, DNS hosts."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0008"
down_revision = "0007"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
