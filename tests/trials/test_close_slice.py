"""The close trial itself: a few kills on each database, and a judge that finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from ombud.db import Database
from trials.close import bench, kills


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_each_customer_has_exactly_one_basis_however_often_the_close_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = f"sqlite:///{tmp_path / 'ombud.db'}" if kind == "sqlite" else request.getfixturevalue("postgres").fresh()
    figures = kills.run(kind, address, tmp_path, 6, seed=7)
    assert figures["kills"] == 6
    assert figures["bases"] == figures["months"] * kills.CUSTOMERS
    assert figures["ok"], figures


def test_a_basis_that_is_missing_or_numbered_with_a_gap_is_found(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'ombud.db'}"
    customers = kills._set_up(address)
    kills._send(address, customers, kills.FIRST)
    kills._close(address, "2000-01")
    database = Database.open(address)
    with database.write() as tx:
        tx.execute(text("DELETE FROM invoiced WHERE basis_id = 3"))
        tx.execute(text("DELETE FROM invoice_basis WHERE id = 3"))
    database.close()
    figures = kills.Figures("sqlite", months=1)
    kills._look(address, "2000-01", customers, figures)
    kills._judge(address, customers, figures)
    assert (figures.missing, figures.half_written, figures.gaps, figures.ok) == (1, 1, kills.CUSTOMERS - 3, False)
    assert figures.uncounted > 0


def test_the_bench_counts_what_it_was_given(tmp_path: Path) -> None:
    figures = bench.run("sqlite", f"sqlite:///{tmp_path / 'ombud.db'}", 20, 5_000)
    assert (figures["emails"], figures["invoices"], figures["ok"]) == (5_000, 20, True)
