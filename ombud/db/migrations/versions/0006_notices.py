"""Letters and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("gives_up_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("ref", name=op.f("uq_notice_ref")),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_notice_due", "notice", ["kind", "target", "due_at"], unique=False, sqlite_where=due, postgresql_where=due
    )
    op.create_index("ix_notice_about", "notice", ["about"], unique=False)
    given_up = sa.text("state = 'given_up'")
    op.create_index(
        "ix_notice_given_up", "notice", ["id"], unique=False, sqlite_where=given_up, postgresql_where=given_up
    )
    op.create_table(
        "notice_try",
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_notice_try_notice_id")),
        sa.PrimaryKeyConstraint("notice_id", "n", name=op.f("pk_notice_try")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("slug", name=op.f("uq_webhook_slug")),
    )
    op.create_table(
        "letter",
        sa.Column("id", IDENTITY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("person_id", IDENTITY, nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("ball", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("notice_ref", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_letter_customer_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_letter_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letter")),
        sa.UniqueConstraint("key", name=op.f("uq_letter_key")),
        sa.UniqueConstraint("notice_ref", name=op.f("uq_letter_notice_ref")),
    )
    op.create_index("ix_letter_campaign", "letter", ["campaign", "customer_id"], unique=False)
    op.create_index("ix_letter_customer_id", "letter", ["customer_id"], unique=False)
    open_ = sa.text("outcome IS NULL AND message_id IS NOT NULL")
    op.create_index("ix_letter_open", "letter", ["id"], unique=False, sqlite_where=open_, postgresql_where=open_)
    op.create_table(
        "automatic_letters",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("on", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_automatic_letters")),
    )
