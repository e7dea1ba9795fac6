"""`ombud switches` and `ombud overrides`: over to another route, back in one command, and otherwise for a while."""

from __future__ import annotations

from typing import Any

ASK = ("routes", "explain", "--customer", "bjallerbo", "--product", "hyra", "--to", "anna@gmail.com")
BY = ("--by", "Anna Berg")


def test_explain_says_which_rule_and_its_dates_on_both_sides_of_the_stop(ombud: Any) -> None:
    last = ombud(*ASK, "--at", "2024-05-31T23:59:59", "--json").json
    assert (last["action"], last["reason"], last["until"]) == ("send", "legacy", "2024-06-01T00:00:00+02:00")
    assert last["warnings"] == ["gmail_at_risk"]
    assert "Till och med 2024-05-31." in last["sv"]
    first = ombud(*ASK, "--at", "2024-06-01T00:00:00", "--json").json
    assert (first["action"], first["reason"], first["route"]) == ("refuse", "no_active_choice", None)
    assert "The last day was 2024-05-31." in first["en"]
    across = ombud(*ASK, "--at", "2024-03-31T03:00", "--json").json
    assert (across["at"], across["reason"]) == ("2024-03-31T03:00:00+02:00", "legacy")
    assert "Inget val är i drift" in ombud(*ASK, "--at", "2024-06-01", "--table", "--lang", "sv").out


def test_a_switch_is_put_seen_and_taken_back_in_one_command(ombud: Any) -> None:
    at = ("--at", "2024-05-01T12:00")
    assert (
        ombud("switches", "put", "--customer", "bjallerbo", "--to", "mailgun-eu", *BY, "--dry-run", *at).json["state"]
        == "live"
    )
    assert ombud(*ASK, *at).json["reason"] == "legacy"
    put = ombud("switches", "put", "--customer", "bjallerbo", "--product", "hyra", "--to", "mailgun-eu", *BY, *at).json
    assert (put["from"], put["to"], put["products"]) == ("underleverantor", "mailgun-eu", ["hyra"])
    soon = ("--at", "2024-05-01T12:05")
    assert ombud(*ASK, *soon).json["reason"] == "switched"
    number = str(put["switch"])
    assert number in [str(one["switch"]) for one in ombud("switches", "list", "--now", *soon).json]
    shown = ombud("switches", "show", number, *soon).json
    assert shown["since"] == {"tries": 0, "failed": 0, "percent": 0.0}
    newer = ombud("switches", "put", "--customer", "bjallerbo", "--to", "egen-server", *BY, *soon).json["switch"]
    states = {
        one["switch"]: one["state"]
        for one in ombud("switches", "list", "--customer", "bjallerbo", "--at", "2024-05-01T12:10").json
    }
    assert (states[put["switch"]], states[newer]) == ("superseded", "live")
    ombud("switches", "roll-back", str(newer), *BY, "--yes", "--at", "2024-05-01T12:15")
    back = ombud("switches", "roll-back", number, *BY, "--yes", "--at", "2024-05-02T12:00").json
    assert (back["state"], back["stopped_products"]) == ("rolled_back", [])
    assert ombud(*ASK, "--at", "2024-05-03T12:00").json["reason"] == "rolled_back"
    assert ombud("switches", "roll-back", number, *BY, "--yes", code=1).error["code"] == "switch_over"


def test_a_rollback_after_the_stop_says_what_it_stops(ombud: Any) -> None:
    at = ("--at", "2024-06-10T12:00")
    put = ombud("switches", "put", "--customer", "bjallerbo", "--product", "hyra", "--to", "mailgun-eu", *BY, *at).json
    back = ombud("switches", "roll-back", str(put["switch"]), *BY, "--yes", *at, code=3).json
    assert back["stopped_products"] == ["hyra"]


def test_a_rollback_of_a_choice_that_was_live_ends_its_fee_with_the_last_of_its_switches(ombud: Any) -> None:
    def back(switch: dict[str, Any], at: str) -> Any:
        return ombud("switches", "roll-back", str(switch["switch"]), *BY, "--yes", "--at", at).json["fee_changed"]

    first, second = ombud("switches", "list", "--customer", "havsbris").json
    assert first["to"] == second["to"] == "mailgun-eu"
    assert back(first, "2024-05-02T12:00") is False, "the other products' mail still goes by the subcontractor"
    assert back(second, "2024-05-03T12:00") is True
    stop = ("billing", "stop", "--customer", "havsbris", "--reason", "see", *BY)
    assert ombud(*stop).json["changed"] is False, "there is nothing left to stop"


def test_a_share_goes_first(ombud: Any) -> None:
    put = ("switches", "put", "--customer", "bjallerbo", "--to", "mailgun-eu", *BY, "--at", "2024-05-01T12:00")
    assert ombud(*put, "--canary", "20", "--canary-until", "2024-05-03T12:00").json["state"] == "canary"
    assert ombud(*put, "--canary", "20", code=1).error["code"] == "bad_field"
    assert ombud(*put, "--when", "tomorrow", code=1).error["code"] == "bad_field"


def test_an_override_holds_for_a_while_and_can_be_ended(ombud: Any) -> None:
    at = ("--at", "2024-05-01T12:00")
    put = (
        "overrides",
        "put",
        "--customer",
        "bjallerbo",
        "--until",
        "2024-05-02T12:00",
        "--reason",
        "complaints",
        *BY,
        *at,
    )
    number = str(ombud(*put, "--hold").json["override"])
    soon = ("--at", "2024-05-01T12:05")
    assert ombud(*ASK, *soon).json["action"] == "hold"
    assert [one["reason"] for one in ombud("overrides", "list", *soon).json] == ["complaints"]
    ombud("overrides", "end", number, *BY, "--at", "2024-05-01T13:00")
    assert ombud(*ASK, "--at", "2024-05-01T13:30").json["reason"] == "legacy"
    assert ombud("overrides", "list", "--at", "2024-05-01T13:30").json == []
    assert ombud("overrides", "end", number, *BY, "--at", "2024-05-01T14:00", code=1).error["code"] == "override_over"
    ombud(*put, "--hold", "--route", "mailgun-eu", code=2)
    ombud(*put, code=2)
    assert ombud(*put, "--route", "eken-egen", code=1).error["code"] == "route_not_theirs"


def test_held_mail_is_counted_and_a_message_says_why_it_is_held(ombud: Any) -> None:
    at = ("--at", "2024-05-01T12:00")
    ombud(
        "overrides",
        "put",
        "--customer",
        "bjallerbo",
        "--until",
        "2024-05-02T12:00",
        "--reason",
        "x",
        "--hold",
        *BY,
        *at,
    )
    mail = (
        "--from",
        "hyra@bjallerbo.example",
        "--to",
        "anna@post.example",
        "--subject",
        "Avi",
        "--text",
        "Hej",
        "--product",
        "hyra",
    )
    id = ombud("send", *mail, "--at", "2024-05-01T12:10").json["id"]
    (held,) = ombud("queue", "held").json
    assert (held["reason"], held["customer"], held["product"], held["recipients"]) == (
        "override",
        "bjallerbo",
        "hyra",
        1,
    )
    shown = ombud("messages", "show", id, "--table", "--lang", "sv", "--at", "2024-05-01T12:20").out
    assert (
        "Hålls kvar. En operatör har tillfälligt bestämt annat. Gäller sedan 2024-05-01 12:00. Till 2024-05-02 12:00."
        in " ".join(shown.split())
    )
    assert ombud("queue", "held", "--customer", "eken").json == []
