"""Suspects go by themselves, and mail is found by its recipient."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    suspect = sa.text("crashes >= 2")
    op.create_index("ix_recipient_suspect", "recipient", ["due_at"], sqlite_where=suspect, postgresql_where=suspect)
    op.create_index("ix_recipient_address", "recipient", ["address"])
