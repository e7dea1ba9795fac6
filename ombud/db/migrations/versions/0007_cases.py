"""Cases, brownouts, sub-processors."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0007"
down_revision = "0006"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
