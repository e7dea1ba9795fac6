"""Price plans and invoice basis."""

import sqlalchemy as sa
from alembic import op  # noqa: F401

revision = "0010"
down_revision = "0009"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    pass
