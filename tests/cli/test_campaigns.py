"""`ombud campaigns`, `choices`, `extensions`, `subprocessors`, and what `apply` asks about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024"
WHY = ("--reason", "ringde 16 april", "--by", "anna")


@pytest.fixture
def changed(tmp_path: Path) -> Any:
    """The example with something else in it."""

    def change(old: str, new: str, file: str = "ombud.toml") -> Path:
        there = tmp_path / "example"
        if not there.exists():
            there.mkdir()
            for path in EXAMPLE.iterdir():
                (there / path.name).write_bytes(path.read_bytes())
        text = (there / file).read_text("utf-8")
        assert old in text
        (there / file).write_text(text.replace(old, new), "utf-8")
        return there / "ombud.toml"

    return change


# --- campaigns -----------------------------------------------------------------------------------------------------


def test_campaigns_are_listed_with_where_they_stand(ombud: Any) -> None:
    (found,) = ombud("campaigns", "list").json
    assert (found["slug"], found["state"], found["stop_date"], found["chosen"]) == (
        "molntjanst-2024",
        "risk",
        "2024-05-31",
        5,
    )
    states = {
        at: ombud("campaigns", "list", "--at", at).json[0]["state"] for at in ("2024-01-07", "2024-01-08", "2024-06-01")
    }
    assert list(states.values()) == ["not_started", "open", "stopped"]
    assert "2024-05-31" in ombud("campaigns", "list", "--table", "--lang", "sv").out


def test_a_campaign_is_shown_with_its_alternatives(ombud: Any) -> None:
    shown = ombud("campaigns", "show", "molntjanst-2024").json
    assert shown["mail_leaves_until"] == "2024-05-31T22:00:00Z"
    assert shown["products"]["marknad"] == "egen-server"
    assert {one["slug"]: one["chosen"] for one in shown["alternatives"]} == {"own": 1, "subcontractor": 4}
    assert [one["version"] for one in shown["versions"]] == [1]
    assert "Alternativ 1" in ombud("campaigns", "show", "molntjanst-2024", "--table", "--lang", "sv").out
    assert ombud("campaigns", "show", "molntjanst-2023", code=1).error["code"] == "unknown_campaign"
    assert ombud("campaigns", "show", "molntjanst-2024", "--version", "2", code=1).error["code"] == "not_found"


def test_texts_are_listed_and_printed_with_a_customers_values(ombud: Any) -> None:
    listed = ombud("campaigns", "texts", "molntjanst-2024").json
    assert {(one["page"], one["language"], one["version"], one["current"]) for one in listed} == {
        (page, language, 1, True) for page in ("notice", "faq") for language in ("sv", "en")
    }
    notice = ("campaigns", "texts", "molntjanst-2024", "notice", "--language", "sv")
    assert ombud(*notice).json["text"].startswith("# {{company}} behöver välja")
    filled = ombud(*notice, "--customer", "granen", "--table").out
    assert filled.startswith("# Fastighets AB Granen behöver välja")
    assert "/choose/molntjanst-2024/granen" in filled
    assert "{{" not in filled


# --- choices -------------------------------------------------------------------------------------------------------


def test_choices_are_listed_shown_with_what_was_seen_changed_and_never_forgotten(ombud: Any) -> None:
    assert [one["customer"] for one in ombud("choices", "list", "--alternative", "own").json] == ["eken"]
    assert ombud("choices", "list", "--alternative", "pigeon", code=1).error["code"] == "alternative_not_offered"
    assert ombud("choices", "show", "granen", code=1).error["code"] == "not_found"
    make = ("choices", "make", "granen", "subcontractor", *WHY)
    assert ombud(*make, "--dry-run").json[0]["price"].startswith("500\N{NO-BREAK SPACE}kr i månaden")
    assert ombud("choices", "history", "granen").json == []
    (made,) = ombud(*make, "--yes").json
    assert (made["number"], made["case"], made["by_operator"]) == (1, "molntjanst-2024/granen", True)
    shown = ombud("choices", "show", "granen").json
    assert shown["words"].startswith("Alternativ 2: vår underleverantör Mailgun")
    assert (shown["by"], shown["reason"], shown["texts"]) == (
        "anna",
        "ringde 16 april",
        {"campaign": 1, "faq.sv": 1, "notice.sv": 1},
    )
    assert len(shown["sha256"]) == 64
    ombud("choices", "make", "granen", "own", *WHY, "--yes")
    assert [one["alternative"] for one in ombud("choices", "history", "granen").json] == ["subcontractor", "own"]
    assert ombud("choices", "withdraw", "granen", *WHY, "--yes").json["alternative"] is None
    assert [one["alternative"] for one in ombud("choices", "history", "granen").json] == ["subcontractor", "own", None]
    assert ombud("choices", "show", "granen", code=1).error["code"] == "not_found"


def test_what_is_chosen_is_shown_first_and_asked_about(ombud: Any) -> None:
    said = ombud("choices", "make", "granen", "own", *WHY, "--table", answer="n\n", code=1)
    assert "Kostar inget hos oss" in said.out
    assert ombud("choices", "history", "granen").json == []
    assert "Choose for 1?" in said.err


def test_a_group_is_chosen_for_together_and_each_company_has_its_own_price(ombud: Any, changed: Any) -> None:
    file = changed("slug,", "slug,", "customers.csv")
    lines = (file.parent / "customers.csv").read_text("utf-8").splitlines()
    grouped = [
        f"{lines[0]},group",
        *(f"{line},{'Skogen' if line.startswith(('granen', 'tallbacken')) else ''}" for line in lines[1:]),
    ]
    (file.parent / "customers.csv").write_text("\n".join(grouped) + "\n", "utf-8")
    ombud("apply", file)
    preview = ombud("choices", "make", "granen", "own", *WHY, "--group", "--dry-run").json
    assert [(one["customer"], one["alternative"]) for one in preview] == [("tallbacken", "own"), ("granen", "own")]
    made = ombud("choices", "make", "granen", "own", *WHY, "--group", "--yes").json
    assert [one["case"] for one in made] == ["molntjanst-2024/tallbacken", "molntjanst-2024/granen"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("choices", "make", "granen", "pigeon", *WHY, "--yes"), "alternative_not_offered"),
        (("choices", "make", "nobody", "own", *WHY, "--yes"), "not_found"),
        (("choices", "make", "granen", "own", *WHY, "--yes", "--campaign", "x"), "unknown_campaign"),
        (("choices", "make", "granen", "own", "--reason", " ", "--by", "anna", "--yes"), "bad_field"),
        (("choices", "withdraw", "granen", *WHY, "--yes"), "not_found"),
    ],
)
def test_what_cannot_be_chosen_is_told_and_nothing_is_made(ombud: Any, arguments: tuple[str, ...], code: str) -> None:
    assert ombud(*arguments, code=1).error["code"] == code
    assert len(ombud("choices", "list").json) == 5


# --- extensions ----------------------------------------------------------------------------------------------------


def test_an_extension_is_asked_for_by_one_and_approved_by_another(ombud: Any) -> None:
    ask = ("extensions", "ask", "granen", "--reason-code", "waiting_for_supplier", *WHY)
    assert ombud(*ask, "--until", "2024-09-01", code=1).error["code"] == "past_last_extension"
    number = str(ombud(*ask, "--until", "2024-06-30").json["number"])
    assert ombud("extensions", "approve", number, "--by", "anna", code=1).error["code"] == "self_approval"
    done = ombud("extensions", "approve", number, "--by", "bo").json
    assert (done["state"], done["until"], done["ends_at"]) == ("in_force", "2024-06-30", "2024-06-30T22:00:00Z")
    explain = ("routes", "explain", "--customer", "granen", "--product", "hyra", "--to", "a@b.example", "--at")
    assert ombud(*explain, "2024-06-30T23:59:59").json["reason"] == "legacy_extended"
    assert ombud(*explain, "2024-07-01T00:00:00").json["reason"] == "no_active_choice"
    later = ("--at", "2024-04-17T10:00")
    assert [one["customer"] for one in ombud("extensions", "list", "--state", "in_force", *later).json] == ["granen"]
    assert ombud("extensions", "list", "--customer", "eken").json == []
    assert ombud("extensions", "end", number, "--reason", "klart", "--by", "bo", *later).json["state"] == "ended"
    assert (
        ombud("extensions", "end", number, "--reason", "klart", "--by", "bo", *later, code=1).error["code"]
        == "wrong_state"
    )


# --- the register --------------------------------------------------------------------------------------------------


def test_the_register_has_the_change_its_objections_and_who_was_told(ombud: Any) -> None:
    (entry,) = ombud("subprocessors", "list").json
    assert (entry["slug"], entry["replaces"], entry["told"], entry["objections"]) == ("mailgun-2024", "Vipre", 0, 0)
    number = ombud(
        "subprocessors", "object", "mailgun-2024", "--customer", "granen", "--text", "Nej.", "--by", "Torbjörn"
    ).json["number"]
    assert ombud("subprocessors", "list").json[0]["unanswered"] == 1
    ombud("subprocessors", "answer", str(number), "--text", "Välj alternativ 1.", "--by", "anna")
    shown = ombud("subprocessors", "show", "mailgun-2024").json
    assert [(one["customer"], one["answer"]) for one in shown["objections"]] == [("granen", "Välj alternativ 1.")]
    assert len(shown["told"]) == 12, "every customer, whether told or not"
    assert "Invändningar" in ombud("subprocessors", "show", "mailgun-2024", "--table", "--lang", "sv").out


def test_an_entry_is_added_by_hand_when_its_days_are_in_order(ombud: Any) -> None:
    add = (
        "subprocessors",
        "add",
        "nytt",
        "--name",
        "Nytt AB",
        "--task-sv",
        "Lagrar.",
        "--task-en",
        "Stores.",
        "--notice-date",
        "2025-01-01",
    )
    assert ombud(*add, "--object-until", "2024-12-31", "--from-date", "2025-03-01", code=1).error["code"] == "bad_field"
    assert ombud(*add, "--object-until", "2025-01-31", "--from-date", "2025-03-01").json["change"] == "added"
    assert [one["slug"] for one in ombud("subprocessors", "list").json] == ["nytt", "mailgun-2024"]


# --- applying a change ---------------------------------------------------------------------------------------------


def test_a_dry_run_shows_what_a_changed_campaign_comes_to(ombud: Any, changed: Any) -> None:
    changed("Skräppost och nätfiske", "Skräppost", "notice.sv.md")
    file = changed("risk_date = 2024-02-01", "risk_date = 2024-02-15")
    said = ombud("apply", file, "--dry-run", "--table").out
    assert (
        "~ campaign molntjanst-2024  (version 1 -> 2: risk_date: 2024-02-01 -> 2024-02-15; notice.sv.md: version: 1 -> 2)"
        in said
    )
    assert re.search(r"^    -Skräppost och nätfiske lever", said, re.MULTILINE)
    assert re.search(r"^    \+Skräppost lever", said, re.MULTILINE)
    assert ombud("campaigns", "show", "molntjanst-2024").json["version"] == 1


def test_a_moved_stop_date_is_only_taken_with_a_yes(ombud: Any, changed: Any) -> None:
    file = changed("stop_date = 2024-05-31", "stop_date = 2024-06-30")
    assert ombud("apply", file, code=1).error["code"] == "edit_needs_yes"
    assert "! the stop date moves from 2024-05-31 to 2024-06-30" in ombud("apply", file, "--dry-run", "--table").out
    assert ombud("campaigns", "list").json[0]["stop_date"] == "2024-05-31"
    ombud("apply", file, "--yes")
    assert ombud("campaigns", "list").json[0]["stop_date"] == "2024-06-30"
    old = ombud("campaigns", "show", "molntjanst-2024", "--version", "1").json
    assert (old["stop_date"], [one["version"] for one in old["versions"]]) == ("2024-05-31", [1, 2])
