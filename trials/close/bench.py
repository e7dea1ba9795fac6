"""How long the preview of a large month takes, and how much memory: ten million metered recipients of five thousand customers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from ombud.db import Database
from ombud.db.migrate import upgrade
from ombud.usage import usage_table
from trials.close.shop import open_shop

PERIOD, PRODUCTS, DAYS = "2024-05", 7, 31
MOST_SECONDS, MOST_MEGABYTES = {"sqlite": 20.0, "postgresql": 10.0}, 300
_NOON = int(datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
_FIRST = (date(2024, 5, 1) - date(1970, 1, 1)).days


def run(name: str, address: str, customers: int, emails: int) -> dict[str, Any]:
    """Fill a database with sets, then measure in a process of its own."""
    began = time.monotonic()
    database = Database.open(address)
    upgrade(database)
    ids = open_shop(database, customers, date(2024, 5, 1), PRODUCTS)
    _fill(database, ids[0], customers, emails)
    database.close()
    filled = time.monotonic() - began
    measured = _measure(address)
    ok = (
        measured["seconds"] < MOST_SECONDS[name]
        and measured["megabytes"] < MOST_MEGABYTES
        and measured["emails"] == emails
    )
    return {
        "database": name,
        "customers": customers,
        "metered": emails,
        "filled_in": round(filled, 1),
        **measured,
        "ok": ok,
    }


def _fill(database: Database, first: int, customers: int, emails: int) -> None:
    """Recipient n is customer n mod so many, on one of the days, by one of the products."""
    numbers = (
        "SELECT n FROM generate_series(0, :emails - 1) AS n"
        if database.postgres
        else "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :emails - 1) SELECT n FROM numbers"
    )
    day, product = f"(n / {customers}) % {DAYS}", f"1 + (n / {customers * DAYS}) % {PRODUCTS}"
    usage = (
        "INSERT INTO usage (recipient_id, customer_id, product_id, route_id, period, handed_over_at, billable)"
        f" SELECT n + 1, {first} + n % {customers}, {product}, 1, '{PERIOD}', {_NOON} + CAST({day} AS bigint) * 86400000000, true FROM ({numbers}) AS numbers"
    )
    tally = (
        "INSERT INTO tally (day, customer_id, product_id, route_id, what, shard, number) SELECT"
        f" {_FIRST} + (handed_over_at - {_NOON}) / 86400000000, customer_id, product_id, route_id, 'billable', 0, count(*)"
        " FROM usage GROUP BY 1, customer_id, product_id, route_id"
    )
    with database.engine.connect() as connection:
        if not database.postgres:
            connection.execute(text("COMMIT"))
            connection.execute(text("PRAGMA foreign_keys = OFF"))  # there are no recipients behind these rows
            connection.execute(text("BEGIN IMMEDIATE"))
        else:
            connection.execute(text("SET session_replication_role = replica"))
        for (
            index
        ) in usage_table.indexes:  # made afterwards: sorted once is faster than ten million times put in its place
            index.drop(connection)
        connection.execute(text(usage), {"emails": emails})
        for index in usage_table.indexes:
            index.create(connection)
        connection.execute(text(tally))
        connection.commit()
    if database.postgres:  # as autovacuum would have done by the end of a month
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


# The peak is read from /proc: what getrusage says includes the peak of whoever started the process.
_PROGRAM = """
import json, re, sys, time
from datetime import UTC, datetime
from pathlib import Path
from ombud.billing.close import lock, preview
from ombud.db import Database

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

database = Database.open(sys.argv[1])
now = datetime(2024, 6, 3, tzinfo=UTC)
began = time.monotonic()
shown = preview(database, sys.argv[2], now, "bench")
seconds, processor, megabytes = time.monotonic() - began, time.process_time(), peak()
began = time.monotonic()
done = lock(database, sys.argv[2], now, "bench")
print(json.dumps({"seconds": round(seconds, 2), "processor_seconds": round(processor, 2), "megabytes": megabytes,
    "lock_seconds": round(time.monotonic() - began, 2), "lock_megabytes": peak(), "emails": shown.summary["emails"],
    "invoices": len(done.numbers)}))
"""


def _measure(address: str) -> dict[str, Any]:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, address, PERIOD], cwd=root, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
