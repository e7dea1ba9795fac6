"""Mail from the command line: send, messages, queue, usage, verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ombud import queue
from ombud.db import Database
from ombud.mail.message import examine, header_values
from ombud.queue import Change, Scope, What
from ombud.routing import load_facts
from ombud.usage import HandOver, meter

NOW = datetime(2024, 4, 30, 22, 30, tzinfo=UTC)  # in Stockholm it is May


def send(ombud: Any, *more: str | Path, to: str = "anna@storpost.example") -> str:
    said = ombud("send", "--from", "Hyra <hyra@eken.example>", "--to", to, "--text", "Hej!", "--product", "hyra", *more)
    id: str = said.json["id"]
    return id


def leased(ombud: Any, *whats: What, wait: timedelta | None = None) -> None:
    """Have a worker take what is due, and these things happen to it."""
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.write() as tx:
        queue.beat(tx, "w", 60)
        leases = [one for route in load_facts(tx).routes for one in queue.lease(tx, "w", route, 100)]
        for what in whats:
            queue.change_all(tx, [Change(one.recipient_id, one.fence, what, NOW, wait=wait) for one in leases])
    database.close()


# --- send ----------------------------------------------------------------------------------------------------------


def test_a_sent_message_is_in_the_queue_when_the_command_returns(ombud: Any, tmp_path: Path) -> None:
    (tmp_path / "avi.txt").write_text("Hej Åsa!\n", "utf-8")
    (tmp_path / "avi.html").write_text("<p>Hej Åsa!</p>", "utf-8")
    (tmp_path / "hyresavi maj.pdf").write_bytes(b"%PDF-1.4\n")
    said = ombud(
        "send", "--from", "Bostads AB Eken <hyra@eken.example>", "--to", "Åsa <asa@storpost.example>", "--cc", "b@mejlen.example",
        "--bcc", "c@mejlen.example", "--subject", "Hyresavi för maj", "--text-file", tmp_path / "avi.txt",
        "--html-file", tmp_path / "avi.html", "--attach", tmp_path / "hyresavi maj.pdf", "--product", "hyra", "--tag", "avi",
    )  # fmt: skip
    assert (said.json["recipients"], said.json["mode"], said.json["status"]) == (3, "live", "accepted")
    message = ombud("messages", "show", said.json["id"]).json
    assert [one["address"] for one in message["recipients"]] == [
        "asa@storpost.example",
        "b@mejlen.example",
        "c@mejlen.example",
    ]
    assert (message["customer"], message["door"], message["subject"], message["tags"]) == (
        "eken",
        "cli",
        "Hyresavi för maj",
        ["avi"],
    )
    assert {one["reason"] for one in message["recipients"]} == {"choice_live"}
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.read() as tx:
        content = queue.content(tx, Scope(), message["id"])
    database.close()
    assert examine(content, 100_000).subject == "Hyresavi för maj"
    assert b"c@mejlen" not in content
    assert b'filename="hyresavi maj.pdf"' in content
    assert header_values(content, "Received")[0].split(";")[0].endswith(f"with LOCAL id {message['id']}")


def test_text_may_come_through_a_pipe(ombud: Any) -> None:
    send = ("send", "--from", "a@eken.example", "--to", "b@mejlen.example", "--product", "hyra", "--text-file", "-")
    assert ombud(*send, answer="Hej\n").json["status"] == "accepted"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--from", "a@granen.example", "--customer", "eken"], "domain_not_proved"),
        (["--from", "a@nobody.example"], "customer_unclear"),
        (["--from", "a@eken.example", "--customer", "nobody"], "not_found"),
        (["--from", "a"], "bad_address"),
        (["--from", "a@eken.example", "--subject", "x\r\nBcc: z@x.example"], "bad_field"),
        (["--from", "a@eken.example", "--tag", "två ord"], "bad_field"),
        (["--from", "a@eken.example", "--product", "nothing"], "not_found"),
    ],
)
def test_the_same_rules_hold_as_for_all_mail(ombud: Any, more: list[str], code: str) -> None:
    product = [] if "--product" in more else ["--product", "hyra"]
    assert ombud("send", "--to", "b@mejlen.example", "--text", "x", *product, *more, code=1).error["code"] == code
    assert ombud("messages", "list").json["data"] == []


def test_send_needs_a_product_where_there_are_many_and_one_text(ombud: Any, tmp_path: Path) -> None:
    said = ombud("send", "--from", "a@eken.example", "--to", "b@mejlen.example", "--text", "x", code=2)
    assert "--product: hyra, teknisk-forvaltning" in said.err
    (tmp_path / "text").write_text("x")
    both = ("--text", "x", "--text-file", tmp_path / "text", "--product", "hyra")
    ombud("send", "--from", "a@eken.example", "--to", "b@mejlen.example", *both, code=2)


def test_test_mail_takes_the_way_to_nowhere(ombud: Any) -> None:
    id = send(ombud, "--mode", "test")
    (recipient,) = ombud("messages", "show", id).json["recipients"]
    assert (recipient["route"], recipient["reason"]) == ("test", "test_mode")


# --- messages ------------------------------------------------------------------------------------------------------


def test_messages_are_found_by_what_is_known_of_them(ombud: Any) -> None:
    first, second = send(ombud, "--tag", "avi"), send(ombud, to="bo@mejlen.example")
    ombud("send", "--from", "a@granen.example", "--to", "bo@mejlen.example", "--text", "x", "--product", "online")

    def found(*wanted: str) -> list[str]:
        return [one["id"] for one in ombud("messages", "list", *wanted).json["data"]]

    assert found("--customer", "eken") == [second, first]
    assert found("--tag", "avi") == [first]
    assert found("--to", "bo@mejlen.example", "--product", "hyra") == [second]
    assert found("--route", "eken-egen", "--state", "waiting") == [second, first]
    assert found("--state", "failed") == []
    assert found("--since", "2999-01-01") == []
    assert len(found("--until", "2999-01-01", "--since", "2020-01-01T00:00")) == 3
    page = ombud("messages", "list", "--limit", "2").json
    assert len(page["data"]) == 2
    assert [one["id"] for one in ombud("messages", "list", "--cursor", page["next_cursor"]).json["data"]] == [first]
    assert ombud("messages", "list", "--customer", "nobody", code=1).error["code"] == "not_found"
    assert ombud("messages", "list", "--route", "nothing", code=1).error["code"] == "not_found"
    assert "2024-06-01T00:00" in ombud("messages", "list", "--since", "2999-99-99", code=2).err


def test_a_message_is_shown_with_its_timeline_for_people_and_programs(ombud: Any) -> None:
    id = send(ombud, "--to", "bo@mejlen.example")
    message = ombud("messages", "show", id).json
    assert message["states"] == {"waiting": 2}
    assert [(one["type"], one["recipient"]) for one in message["timeline"]] == [("accepted", None)]
    assert message["created_at"].endswith("Z")
    (recipient,) = ombud("messages", "show", f"{id}-1").json["recipients"]
    assert recipient["address"] == "bo@mejlen.example"
    table = ombud("messages", "show", id, "--table", "--lang", "sv").out
    assert "anna@storpost.example" in table
    assert "accepted    choice_live" in table
    assert ombud("messages", "show", "nothing", code=1).error["code"] == "not_found"
    assert ombud("messages", "show", f"{id}-2", code=1).error["code"] == "not_found"
    assert id in ombud("messages", "list", "--table").out


def test_watch_shows_each_event_once(ombud: Any) -> None:
    id = send(ombud)
    ombud("queue", "hold", id)
    assert ombud("messages", "watch", "--for", "0").out == "", "nothing has happened since it began"
    events = ombud("messages", "watch", "--for", "0.6", "--last", "2").lines
    assert [(one["message"], one["type"]) for one in events] == [(id, "accepted"), (id, "held")]
    assert ombud("messages", "watch", "--for", "0", "--last", "9", "--customer", "granen").out == ""
    line = ombud("messages", "watch", "--for", "0", "--last", "1", "--table").out
    assert line.startswith(id)
    assert "held" in line


# --- queue ---------------------------------------------------------------------------------------------------------


def states(ombud: Any) -> dict[str, int]:
    return {one["state"]: one["recipients"] for one in ombud("queue", "show").json}


def test_the_queue_is_counted_by_customer_route_and_state(ombud: Any) -> None:
    send(ombud, "--to", "bo@mejlen.example")
    eken = {"customer": "eken", "route": "eken-egen", "state": "waiting", "recipients": 2}
    assert ombud("queue", "show").json == [eken]
    assert ombud("queue", "show", "--customer", "eken", "--route", "eken-egen", "--state", "waiting").json == [eken]
    assert ombud("queue", "show", "--customer", "granen").json == []
    assert ombud("queue", "show", "--route", "mailgun-eu").json == []
    assert ombud("queue", "show", "--state", "held").json == []


def test_one_message_is_held_and_released(ombud: Any) -> None:
    id, other = send(ombud), send(ombud)
    assert ombud("queue", "hold", id).json == {"action": "hold", "recipients": 1, "changed": 1, "dry_run": False}
    assert states(ombud) == {"held": 1, "waiting": 1}
    assert ombud("queue", "release", other, code=1).error["code"] == "wrong_state"
    assert ombud("queue", "release", id).json["changed"] == 1
    (recipient,) = ombud("messages", "show", id).json["recipients"]
    assert (recipient["state"], recipient["reason"]) == ("waiting", "released_by_operator")
    assert ombud("queue", "hold", "nothing", code=1).error["code"] == "not_found"


def test_many_are_changed_only_after_a_yes_to_how_many_they_are(ombud: Any) -> None:
    send(ombud)
    send(ombud, "--to", "bo@mejlen.example")
    assert ombud("queue", "cancel", "--customer", "eken", "--dry-run").json["recipients"] == 3
    assert ombud("--table", "queue", "cancel", "--customer", "eken", "--dry-run").out == "3 recipients would change.\n"
    no = ombud("queue", "cancel", "--customer", "eken", "--lang", "sv", answer="n\n", code=1)
    assert "Avbryt 3 mottagare?" in no.err
    assert states(ombud) == {"waiting": 3}
    assert ombud("queue", "cancel", "--route", "eken-egen", "--state", "waiting", answer="y\n").json["changed"] == 3
    assert states(ombud) == {"cancelled": 3}
    assert ombud("queue", "cancel", "--customer", "eken", "--yes").json["recipients"] == 0


def test_a_choice_by_route_takes_no_other(ombud: Any) -> None:
    send(ombud)
    ombud("send", "--from", "a@granen.example", "--to", "bo@mejlen.example", "--text", "x", "--product", "hyra")
    held = ombud("queue", "hold", "--route", "underleverantor", answer="y\n")
    assert "Hold 1 recipients?" in held.err
    assert {(one["route"], one["state"]) for one in ombud("queue", "show").json} == {
        ("eken-egen", "waiting"), ("underleverantor", "held"),
    }  # fmt: skip


def test_a_choice_by_state_and_route_takes_those_recipients_only(ombud: Any) -> None:
    id = send(ombud, "--to", "bo@mejlen.example")
    ombud("queue", "hold", f"{id}-1")
    assert ombud("queue", "cancel", id, "--route", "eken-egen", "--state", "held").json["changed"] == 1
    assert states(ombud) == {"cancelled": 1, "waiting": 1}
    assert ombud("queue", "cancel", "--route", "nothing", "--yes", code=1).error["code"] == "not_found"


def test_a_deferred_recipient_is_tried_again_at_once(ombud: Any) -> None:
    id = send(ombud)
    leased(ombud, What.COMMIT, What.DEFER, wait=timedelta(hours=4))
    assert states(ombud) == {"deferred": 1}
    assert ombud("queue", "retry", "--state", "deferred", "--yes", "--table").out == "1 of 1 recipients changed.\n"
    (recipient,) = ombud("messages", "show", id).json["recipients"]
    assert (recipient["state"], recipient["reason"]) == ("deferred", "choice_live")
    assert datetime.fromisoformat(recipient["due_at"]) < datetime.now(UTC) + timedelta(minutes=1)
    assert [one["type"] for one in ombud("messages", "show", id).json["timeline"]] == [
        "accepted",
        "deferred",
        "retried",
    ]


def test_what_may_have_arrived_is_tried_again_only_if_it_is_said(ombud: Any) -> None:
    id = send(ombud)
    leased(ombud, What.COMMIT, What.LOSE)
    assert ombud("queue", "retry", id, code=1).error["code"] == "wrong_state"
    assert ombud("queue", "retry", id, "--state", "unknown").json["changed"] == 1
    assert states(ombud) == {"unknown": 1}, "the next try may still make a second copy"


def test_what_has_left_is_left_alone(ombud: Any) -> None:
    id = send(ombud)
    leased(ombud, What.COMMIT, What.FAIL)
    for verb in ("hold", "release", "cancel", "retry"):
        assert ombud("queue", verb, id, code=1).error["code"] == "wrong_state"


# --- usage, verify -------------------------------------------------------------------------------------------------


def test_usage_is_shown_by_product_and_route_for_a_month_in_stockholm(ombud: Any) -> None:
    send(ombud, "--to", "bo@mejlen.example")
    leased(ombud, What.COMMIT, What.DELIVER)
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.write() as tx:
        row: Any = tx.execute(
            text(
                "SELECT c.id, p.id, r.id FROM customer c, product p, route r WHERE (c.slug, p.slug, r.slug) = ('eken', 'hyra', 'mailgun-eu')"
            )
        ).one()
        eken, hyra, route = row
        meter(tx, [HandOver(number, eken, hyra, route, billable=number == 1, at=NOW) for number in (1, 2)])
    database.close()
    assert ombud("usage", "show", "--customer", "eken", "--month", "2024-05", "--json").json == {
        "customer": "eken", "month": "2024-05", "emails": 2, "billable": 1,
        "lines": [{"product": "hyra", "route": "mailgun-eu", "emails": 2, "billable": 1}],
    }  # fmt: skip
    assert ombud("usage", "show", "--customer", "eken", "--month", "2024-04").json["lines"] == []
    assert ombud("usage", "show", "--customer", "eken", "--at", "2024-05-01").json["emails"] == 2
    assert "mailgun-eu" in ombud("usage", "show", "--customer", "eken", "--month", "2024-05", "--table").out
    assert "2024-04" in ombud("usage", "show", "--customer", "eken", "--month", "april", code=2).err
    assert ombud("usage", "show", "--customer", "nobody", code=1).error["code"] == "not_found"


def test_verify_finds_nothing_in_a_sound_database_and_what_is_wrong_in_another(ombud: Any) -> None:
    send(ombud)
    assert ombud("verify").json == {"ok": True, "violations": []}
    assert "holds" in ombud("verify", "--table").out
    database = Database.open(f"sqlite:///{ombud.directory / 'ombud.db'}")
    with database.write() as tx:
        tx.execute(text("DELETE FROM body"))
    database.close()
    found = ombud("verify", code=3).json
    assert found["ok"] is False
    assert any("body" in one["rule"] for one in found["violations"])
    assert "body" in ombud("verify", "--table", code=3).out
