"""Sums over all customers at once."""

from __future__ import annotations

from datetime import date

from ombud.db import Database
from ombud.usage import Counted, Tally, add_tallies
from ombud.usage.totals import totals_by_customer, totals_by_product

MAY_1, MAY_2, MAY_3 = date(2024, 5, 1), date(2024, 5, 2), date(2024, 5, 3)


def test_totals_sum_days_and_routes_and_keep_what_is_asked_for(database: Database) -> None:
    with database.write() as tx:
        add_tallies(
            tx,
            [
                Tally(MAY_1, 1, 1, 7, Counted.ACCEPTED, 10),
                Tally(MAY_2, 1, 1, 8, Counted.ACCEPTED, 5),
                Tally(MAY_2, 1, 2, 8, Counted.ACCEPTED, 3),
                Tally(MAY_2, 1, 1, 8, Counted.TO_GMAIL, 2),
                Tally(MAY_2, 2, 1, 8, Counted.ACCEPTED, 1),
                Tally(MAY_2, 2, 1, 8, Counted.BILLABLE, 1),  # not asked for
                Tally(MAY_3, 1, 1, 7, Counted.ACCEPTED, 100),  # the day after
            ],
        )
    wanted = (Counted.ACCEPTED, Counted.TO_GMAIL)
    with database.read() as tx:
        by_customer = totals_by_customer(tx, MAY_1, MAY_3, wanted)
        by_product = totals_by_product(tx, MAY_1, MAY_3, wanted)
    assert by_customer == {(1, Counted.ACCEPTED): 18, (1, Counted.TO_GMAIL): 2, (2, Counted.ACCEPTED): 1}
    assert by_product == {
        (1, 1, Counted.ACCEPTED): 15,
        (1, 2, Counted.ACCEPTED): 3,
        (1, 1, Counted.TO_GMAIL): 2,
        (2, 1, Counted.ACCEPTED): 1,
    }
