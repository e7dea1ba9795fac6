"""Cases: one per customer and campaign."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "service_case",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("number", sa.Text()),
        sa.Column("alternative", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_case"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name="fk_service_case_campaign_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name="fk_service_case_customer_id"),
        sa.UniqueConstraint("campaign_id", "customer_id", name="uq_service_case_campaign_id_customer_id"),
        sa.UniqueConstraint("number", name="uq_service_case_number"),
        sa.UniqueConstraint("reference", name="uq_service_case_reference"),
    )
    op.create_table(
        "case_comment",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_comment"),
        sa.ForeignKeyConstraint(["case_id"], ["service_case.id"], name="fk_case_comment_case_id"),
    )
    op.create_index("ix_case_comment_case_id", "case_comment", ["case_id"])
    op.create_table(
        "case_heard",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_heard"),
    )
    op.create_index("ix_case_heard_at", "case_heard", ["at"])
