"""People and personal links."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0005"
down_revision = "0004"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
