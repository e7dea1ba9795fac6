"""What is held is released by its sender's domain too."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("hold", sa.Column("sender_domain", sa.Text(), nullable=False, server_default=""))
    start = "strpos(m.header_from, '@')" if op.get_bind().dialect.name == "postgresql" else "instr(m.header_from, '@')"
    op.execute(
        f"UPDATE hold SET sender_domain = (SELECT substr(m.header_from, {start} + 1) FROM message m"
        " JOIN recipient r ON r.message_id = m.id WHERE r.id = hold.recipient_id)"
    )
    op.drop_index("ix_hold_whose", "hold")
    still_held = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_hold_whose", "hold", ["reason", "customer_id", "recipient_id", "product_id", "sender_domain", "held_at"],
        sqlite_where=still_held, postgresql_where=still_held,
    )  # fmt: skip
