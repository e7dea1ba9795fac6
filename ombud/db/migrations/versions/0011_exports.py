"""Runs of exports."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "export_run",
        sa.Column("number", IDENTITY, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_export_run")),
    )
    op.create_index(op.f("ix_export_run_period"), "export_run", ["period"], unique=False)
    op.create_table(
        "export_file",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["export_run.number"], name=op.f("fk_export_file_run")),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_export_file")),
    )
    op.create_table(
        "export_basis",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("basis_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["basis_id"], ["invoice_basis.id"], name=op.f("fk_export_basis_basis_id")),
        sa.ForeignKeyConstraint(["run"], ["export_run.number"], name=op.f("fk_export_basis_run")),
        sa.PrimaryKeyConstraint("run", "basis_id", name=op.f("pk_export_basis")),
        sa.UniqueConstraint("basis_id", "form", "round", name="uq_export_basis_once"),
    )
