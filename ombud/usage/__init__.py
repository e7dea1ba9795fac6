"""What was used: the meter with one row for each recipient handed over, and daily counts that outlive it.

`meter` writes both for what is handed over; `add_tallies` counts everything else that a customer may ask about.
"""

from ombud.usage.meter import (
    HandOver,
    UsageLine,
    billable_by_customer,
    handed_over_since,
    meter,
    metered,
    usage_of,
    usage_table,
)
from ombud.usage.tally import Counted, Tally, add_tallies, daily_totals, first_day, tallies, tally_table

__all__ = [
    "Counted",
    "HandOver",
    "Tally",
    "UsageLine",
    "add_tallies",
    "billable_by_customer",
    "daily_totals",
    "first_day",
    "handed_over_since",
    "meter",
    "metered",
    "tallies",
    "tally_table",
    "usage_of",
    "usage_table",
]
