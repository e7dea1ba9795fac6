"""Letters and the outbox."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0006"
down_revision = "0005"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
