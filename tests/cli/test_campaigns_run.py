"""Running the example's campaign from the command line."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pytest

from tests.cli.conftest import Ombud

BEFORE, LATER = ("--at", "2024-05-07T12:00"), ("--at", "2024-05-07T13:00")
#: What the example's list has chosen for its customers; the list's choices are in force when it is applied.
CHOSEN = {"eken", "lindgarden", "angsgarden", "kvarnholmen", "havsbris"}
EVERY_STAGE = (
    "not_reached",
    "reached",
    "opened",
    "chosen",
    "setting_up",
    "verified",
    "proven",
    "live",
    "extended",
    "stopped",
    "exempt",
)
EVERY_BALL = ("customer", "it_supplier", "microsoft_admin", "vendor", "dns", "nobody")


def test_the_status_counts_each_customer_once_and_as_the_list_does(ombud: Ombud) -> None:
    status, listed = ombud("campaigns", "status").json, ombud("campaigns", "customers").json
    assert status["total"]["customers"] == len(listed) == 12
    assert [one["stage"] for one in status["stages"]] == list(EVERY_STAGE)
    assert [one["ball"] for one in status["balls"]] == list(EVERY_BALL)
    for one in status["stages"]:
        assert one["customers"] == sum(1 for row in listed if row["stage"] == one["stage"])
        assert one["customers"] == sum(cell["customers"] for cell in one["balls"].values())
    assert sum(one["customers"] for one in status["balls"]) == 12


@pytest.mark.parametrize(
    "wanted",
    [
        ("--stage", "live"),
        ("--stage", "not_reached", "--stage", "extended"),
        ("--ball", "vendor"),
        ("--alternative", "none"),
        ("--search", "bostads"),
    ],
)
def test_under_every_filter_the_sums_are_those_of_the_list(ombud: Ombud, wanted: tuple[str, ...]) -> None:
    listed = ombud("campaigns", "customers", *wanted).json
    assert 0 < len(listed) < 12
    assert ombud("campaigns", "status", *wanted).json["total"]["customers"] == len(listed)


def test_the_countdown_is_in_swedish_working_days(ombud: Ombud) -> None:
    status = ombud("campaigns", "status", "--at", "2024-05-06T12:00").json
    assert (status["days"], status["workdays"]) == (25, 19)  # Ascension Day is none
    said = ombud("campaigns", "status", "--table", "--lang", "sv", "--at", "2024-05-06T12:00").out
    assert "25 dagar, 19 arbetsdagar" in said and "totalt" in said and "inte nådd" in said


def test_an_unknown_filter_or_campaign_is_told(ombud: Ombud) -> None:
    assert "none of" in ombud("campaigns", "status", "--alternative", "vipre", code=2).err
    assert "none of" in ombud("campaigns", "customers", "--next", "sleep", code=2).err
    assert ombud("campaigns", "status", "--campaign", "telefoni-2030", code=1).error["code"] == "unknown_campaign"


def test_the_list_as_csv_has_each_ones_personal_link(ombud: Ombud) -> None:
    rows = list(csv.DictReader(StringIO(ombud("campaigns", "customers", "--csv").out)))
    links = {row["customer"]: row["link"] for row in rows}
    assert {slug for slug, link in links.items() if not link} == CHOSEN  # they are done
    assert all(link.startswith("http://127.0.0.1:8025/c/") for link in links.values() if link)
    assert len(set(links.values())) == 12 - len(CHOSEN) + 1
    assert "link" not in next(csv.reader(StringIO(ombud("campaigns", "customers", "--csv", "--no-links").out)))


# --- dry run ---------------------------------------------------------------------------------------------------------


def test_until_the_last_second_the_dry_run_stops_nobody_and_at_midnight_it_ends_with_three(ombud: Ombud) -> None:
    before = ombud("campaigns", "dry-run", "--at", "2024-05-31T23:59:59").json
    assert (before["stopped_customers"], before["stopped_messages"]) == (0, 0)
    after = ombud("campaigns", "dry-run", "--at", "2024-06-01T00:00", "--replay", "30d", code=3).json
    assert after["campaign"] == "molntjanst-2024" and after["at"] == "2024-06-01T00:00:00+02:00"
    assert set(after["customers"][0]) == {"customer", "product", "action", "reason", "messages", "gmail_share"}
    stopped = {one["customer"] for one in after["customers"] if one["action"] != "send"}
    assert stopped & CHOSEN == set() and len(stopped) == after["stopped_customers"] == 7


def test_the_dry_run_as_csv_has_a_line_for_each_customer_and_product(ombud: Ombud) -> None:
    rows = list(
        csv.DictReader(StringIO(ombud("campaigns", "dry-run", "--at", "2024-06-01T00:00", "--csv", code=3).out))
    )
    assert len(rows) == 12 * 7
    assert {row["reason"] for row in rows if row["customer"] == "granen"} == {"no_active_choice"}


@pytest.mark.parametrize(
    "wrong",
    [
        ("--at", "i juni"),
        ("--at", "2024-06-01T00:00", "--replay", "0d"),
        ("--at", "2024-06-01T00:00", "--replay", "sju"),
        (),
    ],
)
def test_a_dry_run_needs_a_moment_and_days(ombud: Ombud, wrong: tuple[str, ...]) -> None:
    ombud("campaigns", "dry-run", *wrong, code=2)


# --- going live and brownouts -------------------------------------------------------------------------------------------


def test_who_lacks_something_does_not_go_live_unless_an_operator_says_why(ombud: Ombud) -> None:
    ombud("choices", "make", "granen", "subcontractor", "--by", "anna", "--reason", "ringde", "--yes")
    refused = ombud("campaigns", "live", "granen", "--by", "anna", "--yes", code=3).json[0]
    assert (refused["result"], refused["lacks"]) == ("refused", ["records", "proof"])
    dry = ombud("campaigns", "live", "granen", "--by", "anna", "--override", "prov", "--dry-run").json[0]
    assert dry["result"] == "ready"
    live = ombud("campaigns", "live", "granen", "--by", "anna", "--override", "prov", "--yes").json[0]
    assert (live["result"], live["route"], len(live["products"])) == ("live", "mailgun-eu", 7)
    assert ombud("campaigns", "customers", "--search", "granen", *LATER).json[0]["stage"] == "live"
    assert ombud("cases", "show", "molntjanst-2024/granen").json["state"] == "closed"
    assert ombud("campaigns", "live", "granen", "--by", "anna", "--yes", *LATER, code=3).json[0]["lacks"] == [
        "wrong_state"
    ]
    assert ombud("campaigns", "live", "--ready", "--by", "anna", "--yes").json == []
    assert "--ready" in ombud("campaigns", "live", "--by", "anna", code=2).err


def test_a_brownout_takes_two_people(ombud: Ombud) -> None:
    window = ("--from", "2024-05-15T10:00", "--to", "2024-05-15T12:00")
    asked = ombud("campaigns", "brownout", "announce", *window, "--by", "anna", *BEFORE).json
    assert asked["customers"] == 7
    assert (
        ombud("campaigns", "brownout", "approve", "1", "--by", "anna", "--yes", *BEFORE, code=1).error["code"]
        == "self_approval"
    )
    assert ombud("campaigns", "brownout", "approve", "1", "--by", "bo", "--yes", *BEFORE).json["letters"] == 7
    shown = ombud("campaigns", "brownout", "show", "1", *BEFORE).json
    assert (shown["state"], shown["held"], shown["balanced"]) == ("announced", 0, True)
    ombud("campaigns", "brownout", "pause", "1", "--by", "cia", *BEFORE)
    assert ombud("campaigns", "brownout", "show", *LATER).json[0]["state"] == "paused"
    assert ombud("campaigns", "brownout", "show", "2", *BEFORE, code=1).error["code"] == "not_found"


# --- cases -------------------------------------------------------------------------------------------------------------


def test_every_choice_has_its_case(ombud: Ombud) -> None:
    listed = ombud("cases", "list").json
    assert {one["customer"] for one in listed} == CHOSEN and len(listed) == len(CHOSEN)
    assert {one["ball"] for one in listed} == {"nobody"}
    shown = ombud("cases", "show", "molntjanst-2024/eken").json
    assert shown["alternative"] == "own" and shown["comments"][0]["kind"] == "choice"


def test_a_case_is_numbered_spoken_of_closed_and_opened(ombud: Ombud) -> None:
    ombud("cases", "number", "molntjanst-2024/eken", "SC-1", "--by", "bo")
    ombud("cases", "comment", "SC-1", "Ringde.", "--by", "bo")
    ombud("cases", "reopen", "SC-1", "--by", "bo")
    assert ombud("cases", "reopen", "SC-1", "--by", "bo", code=1).error["code"] == "wrong_state"
    ombud("cases", "close", "SC-1", "--by", "bo", "--reason", "klart")
    comments = ombud("cases", "show", "SC-1").json["comments"]
    assert [one["text"] for one in comments[-4:]] == ["SC-1", "Ringde.", "open", "closed: klart"]
    assert [one["customer"] for one in ombud("cases", "list", "--without-number").json] != []


def test_a_list_of_the_service_centres_is_imported_and_compared(ombud: Ombud, tmp_path: Path) -> None:
    file = tmp_path / "sc.csv"
    file.write_text(
        "nummer;kund;status\n" + "".join(f"SC-{n};{slug};stängd\n" for n, slug in enumerate(sorted(CHOSEN))), "utf-8"
    )
    assert len(ombud("cases", "diff", file, code=3).json) == len(CHOSEN)  # no number is known here
    assert ombud("cases", "import", file, "--by", "bo", "--dry-run").json["changed"] == len(CHOSEN)
    assert ombud("cases", "import", file, "--by", "bo").json["changed"] == len(CHOSEN)
    assert ombud("cases", "import", file, "--by", "bo").json["changed"] == 0
    assert ombud("cases", "diff", file).json == []
    file.write_text("nummer;kund\nSC-0;angsgarden\nSC-9;granen\n", "utf-8")
    kinds = [one["kind"] for one in ombud("cases", "diff", file, code=3).json]
    assert kinds == ["not_here", *["not_there"] * (len(CHOSEN) - 1)]
    file.write_text("nummer;kund\nSC-0;angsgarden\nSC-9;granen\n", "utf-8")
    assert ombud("cases", "import", file, "--by", "bo", code=1).error["code"] == "bad_csv"
