"""Key rotation, the vendor's zone, proofs, the supplier's log, counters to the great receivers."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("signing_key") as table:
        # Every key that is there before this step is in use: nothing retired one.
        table.add_column(sa.Column("state", sa.Text(), nullable=False, server_default="active"))
        table.add_column(sa.Column("home", sa.Text(), nullable=False, server_default=""))
        for name in ("published_at", "seen_at", "look_at", "switch_at", "activated_at", "keep_until", "revoked_at"):
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("ttl", sa.Integer(), nullable=True))
        table.create_index("ix_signing_key_state", ["state", "look_at"])
    with op.batch_alter_table("signing_key") as table:
        table.alter_column("state", existing_type=sa.Text(), server_default=None)
        table.alter_column("home", existing_type=sa.Text(), server_default=None)
    op.create_table(
        "zone_record",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("ttl", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("remove_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", "kind", name=op.f("pk_zone_record")),
    )
    op.create_index(op.f("ix_zone_record_published_at"), "zone_record", ["published_at"], unique=False)
    op.create_table(
        "proof",
        sa.Column("number", IDENTITY, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("header_from", sa.Text(), nullable=False),
        sa.Column("probe", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_proof")),
        sa.UniqueConstraint("id", name=op.f("uq_proof_id")),
    )
    op.create_index(op.f("ix_proof_nonce"), "proof", ["nonce"], unique=False)
    op.create_index("ix_proof_place", "proof", ["domain", "route_id", "number"], unique=False)
    op.create_table(
        "volume",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "receiver", "hour", "shard", name=op.f("pk_volume")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bulk_sender",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "receiver", name=op.f("pk_bulk_sender")),
    )
