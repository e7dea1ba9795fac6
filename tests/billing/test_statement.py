"""A customer's month: what it costs, what was counted and what was not, the curve, and every counted message."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as Tree
from dataclasses import replace
from datetime import UTC, date, datetime
from io import StringIO

import pytest
from sqlalchemy import select

from ombud import usage
from ombud.billing import chart
from ombud.billing.alarms import due_alarms, put_alarms, set_cap
from ombud.billing.close import lock, preview
from ombud.billing.credit import credit
from ombud.billing.statement import Statement, counted_csv, statement
from ombud.clock import STOCKHOLM
from ombud.queue import NewMessage, NewRecipient, State, Stream, put
from ombud.queue.tables import recipient_table
from ombud.usage import Counted, HandOver
from tests.billing.conftest import JUNE_3, SQLITE, Shop
from tests.conftest import NOON

MAY_1, MAY_7, MAY_20 = date(2024, 5, 1), date(2024, 5, 7), date(2024, 5, 20)
EVENING = datetime(2024, 5, 15, 22, 0, tzinfo=UTC)  # the end of the 15th day, in Stockholm


def stated(shop: Shop, period: str = "2024-05", now: datetime = EVENING) -> Statement:
    with shop.database.read() as tx:
        return statement(tx, shop.eken, period, now)


@pytest.fixture
def live(shop: Shop) -> Shop:
    shop.live(shop.eken, MAY_1)
    return shop


def test_a_running_month_shows_what_it_costs_today_and_where_it_is_going(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 15_000)
    shown = stated(live)
    assert (shown.emails, shown.included, shown.over, str(shown.net), str(shown.total)) == (
        15_000,
        10_000,
        5_000,
        "560.00",
        "700.00",
    )
    assert (shown.number, shown.ended, shown.plan) == ("", False, "molntjanst-2024 2024-01-01")
    assert shown.projection
    assert (shown.projection.emails, str(shown.projection.net)) == (31_000, "752.00")  # 15 of 31 days have passed
    assert len(shown.days) == 16
    assert (shown.days[5].total, shown.days[6].emails, shown.days[-1].total) == (0, 15_000, 15_000)


@SQLITE
def test_the_first_hours_of_a_month_say_nothing_of_the_rest(live: Shop) -> None:
    live.sent(live.eken, MAY_1, 900)
    assert stated(live, now=datetime(2024, 5, 1, 10, tzinfo=STOCKHOLM)).projection is None


def test_what_was_not_counted_is_told_with_its_reason(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 3)
    for n, what in enumerate(
        (Counted.TEST, Counted.REFUSED, Counted.SUPPRESSED, Counted.HELD, Counted.RETRIED, Counted.FREE), 1
    ):
        live.sent(live.eken, MAY_7, n, what)
    shown = stated(live)
    assert shown.emails == 3
    assert shown.not_counted == {
        Counted.TEST: 1, Counted.REFUSED: 2, Counted.SUPPRESSED: 3, Counted.HELD: 4, Counted.RETRIED: 5, Counted.FREE: 6
    }  # fmt: skip
    assert shown.by_product == {"hyra": 3}


def test_a_locked_month_shows_the_invoice_and_its_credits(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 40_000)
    preview(live.database, "2024-05", JUNE_3, "eva")
    (number,) = lock(live.database, "2024-05", JUNE_3, "eva").numbers
    live.sent(live.eken, MAY_20, 1_000)  # after the lock: the next month's affair
    with live.database.write() as tx:
        credit(tx, number, JUNE_3, "eva", "fel", {1: None})
    shown = stated(live, now=JUNE_3)
    assert (shown.number, str(shown.total), shown.projection, shown.ended) == (number, "1075.00", None, True)
    assert [one.basis.number for one in shown.credits] == ["M1002"]
    assert len(shown.days) == 31


def test_alternative_1_costs_nothing(shop: Shop) -> None:
    shop.sent(shop.eken, MAY_7, 5_000, Counted.FREE)
    shown = stated(shop)
    assert (shown.emails, str(shown.net), shown.plan, shown.lines) == (0, "0.00", "", ())


# --- the curve -----------------------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


@SQLITE
@pytest.mark.parametrize("language", ["sv", "en"])
def test_the_curve_has_the_line_the_projection_and_the_cap_and_says_so_in_words(live: Shop, language: str) -> None:
    live.sent(live.eken, MAY_7, 15_000)
    with live.database.write() as tx:
        set_cap(tx, live.eken.id, 12_000, NOON, "åsa")
        put_alarms(tx, due_alarms(tx, NOON), NOON)
    shown = stated(live)
    root = Tree.fromstring(chart.svg(shown, language))
    classes = [one.get("class") for one in root.iter()]
    assert {"included", "cap", "curve", "projection", "bar"} <= set(classes)
    assert root.get("role") == "img"
    description = root.findtext(f"{SVG}desc") or ""
    assert ("15 000 mejl" if language == "sv" else "15,000 e-mails") in description
    assert "style" not in chart.svg(shown, language)  # a strict page allows none
    heading, *rows = chart.table(shown, language)
    assert len(heading) == 3
    assert rows[6][0] == "2024-05-07"
    assert rows[6][1] in ("15 000", "15,000")


@SQLITE
def test_the_line_of_what_is_included_lies_where_its_number_is(live: Shop) -> None:
    live.sent(live.eken, MAY_1, 10_000)
    root = Tree.fromstring(chart.svg(stated(live), "sv"))
    line = next(one for one in root.iter(f"{SVG}line") if one.get("class") == "included")
    curve = next(one for one in root.iter(f"{SVG}polyline") if one.get("class") == "curve")
    assert (curve.get("points") or "").split()[-1].split(",")[1] == line.get("y1")


@SQLITE
def test_a_month_without_mail_has_a_curve_too_and_names_are_no_markup(live: Shop) -> None:
    empty = replace(stated(live), days=(), included=0, projection=None)
    Tree.fromstring(chart.svg(empty, "sv"))


# --- down to the message -------------------------------------------------------------------------------------------


def test_every_counted_recipient_is_in_the_list_and_nobody_elses(live: Shop) -> None:
    for id, customer, billable in (("m1", live.eken, True), ("m2", live.linden, True), ("m3", live.eken, False)):
        deliver(live, id, customer.id, billable)
    with live.database.read() as tx:
        rows = list(csv.reader(StringIO("".join(counted_csv(tx, live.eken.id, "2024-05")), newline="")))
    assert rows == [
        ["handed_over_at", "message", "recipient", "product"],
        ["2024-05-07T12:00:00+02:00", "m1", "0", "hyra"],
        ["2024-05-07T12:00:00+02:00", "m1", "1", "hyra"],
    ]


def deliver(shop: Shop, id: str, customer_id: int, billable: bool) -> None:
    """A message with two recipients, handed over."""
    message = NewMessage(
        id=id, customer_id=customer_id, product_id=shop.product, credential_id=1, mode="live", door="http", peer="",
        stream=Stream.BULK, mail_from="", header_from="a@eken.example", message_id=id, subject="", content=b"x", created_at=NOON,
        recipients=[NewRecipient(f"{n}@post.example", State.WAITING, "customer_route", 1) for n in range(2)],
    )  # fmt: skip
    with shop.database.write() as tx:
        put(tx, [message])
        ids = tx.execute(select(recipient_table.c.id).where(recipient_table.c.message_id == id)).scalars().all()
        usage.meter(tx, [HandOver(one, customer_id, shop.product, 1, billable, NOON) for one in ids])
