"""Switches of route and what came of them, overrides, brownouts; what is held, and warnings."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    _routing()
    _queue()


def _routing() -> None:
    op.create_table(
        "switch",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("product_ids", sa.Text(), nullable=True),
        sa.Column("from_route_id", sa.Integer(), nullable=True),
        sa.Column("to_route_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("canary_percent", sa.Integer(), nullable=False),
        sa.Column("canary_until", sa.BigInteger(), nullable=True),
        sa.Column("watch_until", sa.BigInteger(), nullable=False),
        sa.Column("margin_percent", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("put_at", sa.BigInteger(), nullable=False),
        sa.Column("rolled_back_at", sa.BigInteger(), nullable=True),
        sa.Column("rolled_back_by", sa.Text(), nullable=True),
        sa.Column("rollback_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_switch_customer_id")),
        sa.ForeignKeyConstraint(["from_route_id"], ["route.id"], name=op.f("fk_switch_from_route_id")),
        sa.ForeignKeyConstraint(["to_route_id"], ["route.id"], name=op.f("fk_switch_to_route_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_switch")),
    )
    op.create_index(op.f("ix_switch_customer_id"), "switch", ["customer_id"])
    op.create_table(
        "switch_count",
        sa.Column("switch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["switch_id"], ["switch.id"], name=op.f("fk_switch_count_switch_id")),
        sa.PrimaryKeyConstraint("switch_id", "what", "worker", name=op.f("pk_switch_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "override",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=True),
        sa.Column("route_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_override_customer_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_override_product_id")),
        sa.ForeignKeyConstraint(["route_id"], ["route.id"], name=op.f("fk_override_route_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
    )
    op.create_table(
        "brownout",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("announced_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brownout")),
    )


def _queue() -> None:
    op.add_column("recipient", sa.Column("warning", sa.Text(), nullable=True))
    op.create_table(
        "hold",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("recipient_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_as", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_hold_recipient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_reason_held_at"), "hold", ["reason", "held_at"])
    op.create_index("ix_hold_open", "hold", ["recipient_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index(
        "ix_hold_whose", "hold", ["reason", "customer_id", "recipient_id", "product_id", "held_at"],
        sqlite_where=OPEN, postgresql_where=OPEN,
    )  # fmt: skip
    op.execute(
        "INSERT INTO hold (recipient_id, customer_id, product_id, reason, held_at)"
        " SELECT r.id, r.customer_id, m.product_id, r.reason, r.changed_at FROM recipient r"
        " JOIN message m ON m.id = r.message_id WHERE r.state = 'held'"
    )
