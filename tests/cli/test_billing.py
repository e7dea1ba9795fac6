"""`ombud billing`: from a price to a credit, as finance goes through a month."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ombud.accounts import load_directory
from ombud.db import Database
from ombud.routing.routes import load_routes
from ombud.usage import Counted, Tally, add_tallies
from tests.cli.conftest import Ombud

MAY, JUNE = ("--at", "2024-05-20T12:00"), ("--at", "2024-06-03T08:00")
ME = ("--by", "eva")


def sent(ombud: Ombud, customer: str, day: date, number: int) -> None:
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.write() as tx:
        found = load_directory(tx)
        route = next(one.id for one in load_routes(tx).values() if one.slug == "mailgun-eu")
        who, what = found.customer(customer).id, found.product("hyra").id
        add_tallies(tx, [Tally(day, who, what, route, Counted.BILLABLE, number)])
    database.close()


@pytest.fixture
def may(ombud: Ombud) -> Ombud:
    """The customers have been live since the first of May, and not before: no earlier month is to be billed."""
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.write() as tx:
        from sqlalchemy import text

        tx.execute(
            text("UPDATE subscription SET day = :day"),
            {"day": date(2024, 5, 1).toordinal() - date(1970, 1, 1).toordinal()},
        )
    database.close()
    return ombud


def test_the_price_of_the_story_is_printed_exactly(ombud: Ombud) -> None:
    said = ombud("billing", "price", "--plan", "molntjanst-2024", "--emails", "40000", "--json").json
    lines = said.pop("lines")
    assert said == {
        "plan": "molntjanst-2024", "emails": 40_000, "net": "860.00", "vat": "215.00", "total": "1075.00", "currency": "SEK"
    }  # fmt: skip
    assert [(one["quantity"], one["unit_price"], one["net"]) for one in lines] == [
        (1, "500.00", "500.00"),
        (30_000, "0.012", "360.00"),
    ]


def test_a_plan_that_nobody_knows_is_named_with_those_that_there_are(ombud: Ombud) -> None:
    said = ombud("billing", "price", "--plan", "molntjanst-2025", "--emails", "1", "--json", code=1)
    assert said.error["code"] == "no_price_plan"
    assert "molntjanst-2024" in said.error["detail"]
    ombud("billing", "price", "--plan", "molntjanst-2024", "--emails", "-1", code=2)
    ombud("billing", "price", "--plan", "molntjanst-2024", "--emails", "1", "--period", "2024-13", code=2)


def test_plans_and_payers_are_shown_and_a_payer_is_set(ombud: Ombud) -> None:
    (plan,) = ombud("billing", "plans").json
    assert (plan["plan"], plan["fixed_fee"], plan["included"], plan["price"]) == (
        "molntjanst-2024",
        "500.00",
        10_000,
        "0.012",
    )
    assert ombud("billing", "payer", "set", "eken", "--reference", "Ny referens", "--city", "").json["changed"] is True
    shown = ombud("billing", "payer", "show", "eken").json
    assert (shown["reference"], shown["city"], shown["street"]) == ("Ny referens", None, "Ekvägen 1")
    assert ombud("billing", "payer", "set", "eken", "--endpoint", "x", code=1).error["code"] == "bad_field"


def test_a_month_goes_from_preview_to_credit(may: Ombud, tmp_path: Path) -> None:
    sent(may, "lindgarden", date(2024, 5, 25), 40_000)
    preview = may(*JUNE, "billing", "preview", "--period", "2024-05", *ME).json
    assert preview["totals"] == [{"currency": "SEK", "net": "2360.00", "vat": "590.00", "total": "2950.00"}]
    assert (preview["invoices"], preview["zero"]) == (4, ["angsgarden", "havsbris", "kvarnholmen"])
    assert (
        may(*JUNE, "billing", "lock", "--period", "2024-05", "--hash", "0" * 64, "--yes", code=1).error["code"]
        == "preview_differs"
    )
    locked = may(*JUNE, "billing", "lock", "--period", "2024-05", "--hash", preview["hash"], "--yes", *ME).json
    assert locked["numbers"] == ["M1001", "M1002", "M1003", "M1004"]
    assert may(*JUNE, "billing", "lock", "--period", "2024-05", "--yes", code=1).error["code"] == "period_locked"
    (month,) = may("billing", "months").json
    assert (month["state"], month["locked_by"]) == ("locked", "eva")
    credit = may(*JUNE, "billing", "credit", "M1004", "--line", "2=60", "--reason", "fel adresser", "--yes", *ME).json
    assert (credit["number"], credit["original"], credit["net"]) == ("M1005", "M1004", "-60.00")
    shown = may("billing", "show", "M1004").json
    assert (shown["total"], [one["left"] for one in shown["lines"]], shown["credits"]) == (
        "1075.00",
        ["500.00", "300.00"],
        ["M1005"],
    )
    assert (
        may("billing", "credit", "M1004", "--line", "2=301", "--reason", "x", "--yes", code=1).error["code"]
        == "credit_too_large"
    )
    may("billing", "credit", "M1004", "--line", "två", "--reason", "x", "--yes", code=2)
    statement = may(*JUNE, "billing", "statement", "--customer", "lindgarden", "--period", "2024-05").json
    assert (statement["invoice"], statement["credits"], statement["total"]) == ("M1004", ["M1005"], "1075.00")


def test_what_must_be_mended_ends_the_preview_with_3_and_stops_the_lock(may: Ombud) -> None:
    may("billing", "payer", "set", "havsbris", "--reference", "")
    preview = may(*JUNE, "billing", "preview", "--period", "2024-05", code=3).json
    assert [(one["customer"], one["code"]) for one in preview["faults"] if one["red"]] == [
        ("havsbris", "buyer_reference_missing")
    ]
    assert may(*JUNE, "billing", "lock", "--period", "2024-05", "--yes", code=1).error["code"] == "preview_has_faults"
    may(*JUNE, "billing", "lock", "--period", "2024-05", "--reason", "de vill ha papper", "--yes")


def test_a_lock_asks_first_and_a_month_that_runs_is_not_locked(may: Ombud) -> None:
    may(*MAY, "billing", "preview", "--period", "2024-05")
    may(*MAY, "billing", "lock", "--period", "2024-05", answer="n\n", code=1)
    assert may(*MAY, "billing", "lock", "--period", "2024-05", "--yes", code=1).error["code"] == "period_not_ended"


def test_the_running_month_in_kronor_the_curve_and_the_alarm_cap(may: Ombud, tmp_path: Path) -> None:
    sent(may, "lindgarden", date(2024, 5, 10), 12_500)
    assert may(*MAY, "billing", "cap", "lindgarden", "--emails", "20000", "--hard", *ME).json["hard"] is True
    may("billing", "cap", "lindgarden", code=2)
    usage = {one["customer"]: one for one in may(*MAY, "billing", "usage").json}
    assert (usage["lindgarden"]["emails"], usage["lindgarden"]["net"]) == (12_500, "530.00")
    svg, counted = tmp_path / "may.svg", tmp_path / "may.csv"
    shown = may(*MAY, "billing", "statement", "--customer", "lindgarden", "--svg", svg, "--counted", counted).json
    assert (shown["net"], shown["over"], shown["cap"]) == ("530.00", 2_500, {"emails": 20_000, "hard": True})
    assert shown["projection"]["emails"] > 12_500
    assert "<svg" in svg.read_text("utf-8")
    assert counted.read_text("utf-8").startswith("handed_over_at,message")
    for arguments in (("usage",), ("statement", "--customer", "lindgarden"), ("plans",), ("months",)):
        assert may(*MAY, "--table", "--lang", "sv", "billing", *arguments).out
    assert may("billing", "cap", "lindgarden", "--remove", *ME).json["emails"] is None


def test_a_preview_for_people_shows_money_and_what_is_missing(may: Ombud) -> None:
    said = may(
        *JUNE, "--table", "--lang", "sv", "billing", "preview", "--period", "2024-05", "--customer", "havsbris"
    ).out
    assert "500.00" in said
    assert "e-fakturaadress" in said


def test_what_if_prices_the_last_months(may: Ombud) -> None:
    sent(may, "eken", date(2024, 4, 25), 40_000)
    said = may(*MAY, "billing", "whatif", "--customer", "eken", "--plan", "molntjanst-2024").json
    assert (said["net"], [one["period"] for one in said["lines"]]) == ("860.00", ["2024-04"])
    assert may(*MAY, "billing", "whatif", "--customer", "eken", code=1).error["code"] == "bad_field"
    compared = may(*MAY, "billing", "whatif", "--customer", "eken", "--campaign", "molntjanst-2024").json
    assert {one["plan"]: (one["emails_a_month"], one["net"]) for one in compared} == {
        None: (40_000, "0.00"),
        "molntjanst-2024": (40_000, "860.00"),
    }


def test_who_pays_is_started_and_stopped_by_hand(ombud: Ombud) -> None:
    start = ("billing", "start", "--customer", "bjallerbo", "--plan", "molntjanst-2024", "--reason", "avtal", *ME)
    assert ombud(*MAY, *start).json == {
        "customer": "bjallerbo",
        "plan": "molntjanst-2024",
        "from": "2024-05-20",
        "changed": True,
    }
    assert ombud(*MAY, *start).json["changed"] is False
    assert ombud(*MAY, *start[:5], "plan", *start[6:], code=1).error["code"] == "no_price_plan"
    stop = ("billing", "stop", "--customer", "bjallerbo", "--day", "2024-05-31", "--reason", "avtal", *ME)
    assert ombud(*MAY, *stop).json["until"] == "2024-05-31"
    assert ombud(*MAY, *stop).json["changed"] is False
    ombud(*MAY, *stop[:4], "--day", "maj", "--reason", "x", code=2)


def test_the_providers_count_is_taken_in_and_a_difference_ends_with_3(may: Ombud, tmp_path: Path) -> None:
    sent(may, "lindgarden", date(2024, 5, 10), 100)
    counts = tmp_path / "counts.csv"
    counts.write_text("day,customer,number\n2024-05-10,lindgarden.example,98\n", "utf-8")
    reconcile = ("billing", "reconcile", "--period", "2024-05", "--route", "mailgun-eu", "--counts", counts)
    said = may(*JUNE, *reconcile, code=3).json
    assert (said["ours"], said["theirs"], said["unexplained"]) == (100, 98, 1)
    assert [(one["customer"], one["difference"]) for one in said["days"]] == [("lindgarden", -2)]
    assert [(one["customer"], one["emails"], one["invoiced"]) for one in said["not_invoiced"]] == [
        ("lindgarden", 100, 0)
    ]
    counts.write_text("day,customer,number\n2024-05-10,nobody,98\n", "utf-8")
    assert may(*JUNE, *reconcile, code=1).error["code"] == "bad_count"
    may("billing", "reconcile", "--period", "2024-05", "--counts", counts, code=2)
    assert may(*JUNE, *reconcile[:4], "--route", "nowhere", code=1).error["code"] == "not_found"
