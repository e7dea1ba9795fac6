"""Daily counts that outlive the mail, and an index that holds all that a month's counts are made from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STOCKHOLM = ZoneInfo("Europe/Stockholm")
HOUR = 3_600_000_000  # microseconds
FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("product_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("route_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "customer_id", "product_id", "route_id", "what", "shard", name=op.f("pk_tally")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tally_customer_id_day"), "tally", ["customer_id", "day"])
    op.drop_index(op.f("ix_usage_customer_id_period"), "usage")
    op.create_index("ix_usage_counts", "usage", ["period", "customer_id", "product_id", "route_id", "billable"])
    _count_what_is_metered()


def _count_what_is_metered() -> None:
    """The days of what was handed over before. Grouped by hour, for no hour lies in two days (in Stockholm)."""
    usage = sa.table(
        "usage",
        *map(sa.column, ("customer_id", "product_id", "route_id", "billable")),
        sa.column("handed_over_at", sa.BigInteger),
    )
    by = (usage.c.customer_id, usage.c.product_id, usage.c.route_id, usage.c.billable)
    hours = sa.select(*by, (usage.c.handed_over_at // HOUR).label("hour")).subquery()
    rows: Sequence[Any] = op.get_bind().execute(sa.select(*hours.c, sa.func.count()).group_by(*hours.c)).all()
    sums: dict[tuple[object, ...], int] = {}
    for customer, product, route, billable, at, number in rows:
        day = datetime.fromtimestamp(int(at) * 3600, STOCKHOLM).toordinal() - FIRST_DAY
        key = (day, customer, product, route, "billable" if billable else "free")
        sums[key] = sums.get(key, 0) + number
    tally = sa.table(
        "tally", *map(sa.column, ("day", "customer_id", "product_id", "route_id", "what", "shard", "number"))
    )
    names = ("day", "customer_id", "product_id", "route_id", "what")
    if sums:
        op.bulk_insert(
            tally,
            [{**dict(zip(names, key, strict=True)), "shard": 0, "number": number} for key, number in sums.items()],
        )
