"""Price plans and invoice basis."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PAYER = (
    "vat_number", "street", "extra", "postal_code", "city", "country", "endpoint", "reference", "order_number", "cost_center",
    "number", "contact", "email",
)  # fmt: skip


def upgrade() -> None:
    _prices()
    _parties()
    _ledger()
    _counts()


def _prices() -> None:
    op.create_table(
        "price_plan",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_plan")),
        sa.UniqueConstraint("slug", "customer_id", "valid_from", name="uq_price_plan"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_subscription_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    op.create_index(op.f("ix_subscription_customer_id"), "subscription", ["customer_id"])


def _parties() -> None:
    op.create_table(
        "seller",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seller")),
    )
    op.create_table(
        "payer",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in PAYER),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_payer_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_payer")),
    )


def _ledger() -> None:
    op.create_table(
        "billing_period",
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("previewed_at", sa.BigInteger(), nullable=False),
        sa.Column("previewed_by", sa.Text(), nullable=False),
        sa.Column("locked_at", sa.BigInteger(), nullable=True),
        sa.Column("locked_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("exported_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_billing_period")),
    )
    op.create_table(
        "billing_preview",
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("period", "customer_id", name=op.f("pk_billing_preview")),
    )
    op.create_table(
        "invoice_basis",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=True),
        sa.Column("issued", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("vat", sa.BigInteger(), nullable=False),
        sa.Column("emails", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_invoice_basis_customer_id")),
        sa.ForeignKeyConstraint(["credits"], ["invoice_basis.id"], name=op.f("fk_invoice_basis_credits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_basis")),
        sa.UniqueConstraint("customer_id", "period", "serial", name="uq_invoice_basis_customer_id_period"),
        sa.UniqueConstraint("number", name=op.f("uq_invoice_basis_number")),
        sa.UniqueConstraint("running", name=op.f("uq_invoice_basis_running")),
    )
    op.create_index(op.f("ix_invoice_basis_period"), "invoice_basis", ["period"])
    op.create_index(op.f("ix_invoice_basis_credits"), "invoice_basis", ["credits"])
    op.create_table(
        "invoiced",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("basis_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("emails", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["basis_id"], ["invoice_basis.id"], name=op.f("fk_invoiced_basis_id")),
        sa.PrimaryKeyConstraint("customer_id", "period", "basis_id", name=op.f("pk_invoiced")),
    )
    op.create_index(op.f("ix_invoiced_period"), "invoiced", ["period"])


def _counts() -> None:
    op.create_table(
        "provider_count",
        sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("route_id", "day", "customer_id", name=op.f("pk_provider_count")),
    )
    op.create_table(
        "cap",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("emails", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_cap_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_cap")),
    )
    op.create_table(
        "alarm",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("emails", sa.BigInteger(), nullable=False),
        sa.Column("of", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_alarm_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", "period", "level", name=op.f("pk_alarm")),
    )
    op.create_table(
        "over_cap",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_over_cap_customer_id")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_over_cap")),
    )
