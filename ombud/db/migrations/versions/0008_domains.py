"""Claims, checks, DNS hosts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "domain_claim",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_domain_claim_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_claim")),
        sa.UniqueConstraint("token", name=op.f("uq_domain_claim_token")),
    )
    op.create_index("ix_domain_claim_domain_customer_id", "domain_claim", ["domain", "customer_id"], unique=False)
    op.create_index(op.f("ix_domain_claim_next_at"), "domain_claim", ["next_at"], unique=False)
    op.create_table(
        "domain_watch",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=True),
        sa.Column("stuck_told", sa.Boolean(), nullable=False),
        sa.Column("stop_at", sa.BigInteger(), nullable=True),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("doubtful", sa.Boolean(), nullable=False),
        sa.Column("good", sa.Text(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["domain"], ["domain.name"], name=op.f("fk_domain_watch_domain")),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domain_watch")),
    )
    op.create_index(op.f("ix_domain_watch_next_at"), "domain_watch", ["next_at"], unique=False)
    # Every domain that is there already is looked at from now on: 0 is long due.
    op.execute(
        "INSERT INTO domain_watch (domain, state, next_at, tries, stuck_told, answers, missed, doubtful, good, codes, turn, states) "
        "SELECT name, 'unchecked', 0, 0, false, '', 0, false, '[]', '[]', 'wait', '[]' FROM domain"
    )
    op.create_table(
        "domain_change",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("stop_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain_change")),
    )
    op.create_index(op.f("ix_domain_change_domain"), "domain_change", ["domain"], unique=False)
    op.create_table(
        "dns_host",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("taught_at", sa.BigInteger(), nullable=False),
        sa.Column("taught_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_dns_host")),
    )
    op.create_table(
        "dns_host_correction",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain"], ["domain.name"], name=op.f("fk_dns_host_correction_domain"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_dns_host_correction")),
    )
    op.create_table(
        "dns_host_unknown",
        sa.Column("servers", sa.Text(), nullable=False),
        sa.Column("example", sa.Text(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("servers", name=op.f("pk_dns_host_unknown")),
    )
