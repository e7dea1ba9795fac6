"""GET and cancel: lists in pages, one message with its timeline, and taking back what has not left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ombud.mail.reply import Reply
from ombud.queue import Attempt, Change, State, What, change_all
from ombud.queue.tables import recipient_table
from tests.web.conftest import House, on_sqlite


def happen(house: House, message_id: str, n: int, *whats: What, attempt: Attempt | None = None) -> None:
    """Let these things happen to a recipient, as a worker would."""
    with house.web.database.write() as tx:
        r = recipient_table.c
        number = tx.execute(select(r.id).where(r.message_id == message_id, r.n == n)).scalar_one()
        for what in whats:
            (changed,) = change_all(
                tx, [Change(number, None, what, house.web.clock.now(), attempt=attempt if what is whats[-1] else None)]
            )
            assert changed.now


async def test_a_list_comes_in_pages_the_newest_first(house: House) -> None:
    sent = [(await house.send(subject=f"Avi {n}")).json()["id"] for n in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    sizes = []
    while True:
        page = (await house.call("eken", "GET", "/v1/messages", params={"limit": "2", **cursor})).json()
        found += [one["id"] for one in page["data"]]
        sizes.append(len(page["data"]))
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert (sorted(found), found, sizes) == (sorted(sent), sorted(found, reverse=True), [2, 2, 1])


async def test_every_filter_finds_its_message_and_no_other(house: House) -> None:
    wanted = (await house.send(to=["bo@tenant.example", "asa@tenant.example"], tags=["maj_2024"])).json()
    other = (await house.send(to=["cecilia@tenant.example"], tags=["majx2024", "maj"])).json()
    await house.call("eken", "POST", f"/v1/messages/{wanted['id']}-1/cancel")
    for filter in (
        {"to": "bo@TENANT.example"}, {"tag": "maj_2024"}, {"message_id": wanted["message_id"]}, {"state": "cancelled"},
        {"message_id": wanted["message_id"].strip("<>"), "to": "asa@tenant.example", "since": "2024-05-07T09:00:00Z"},
    ):  # fmt: skip
        page = (await house.call("eken", "GET", "/v1/messages", params=filter)).json()
        assert [one["id"] for one in page["data"]] == [wanted["id"]], filter
    everything = (await house.call("eken", "GET", "/v1/messages", params={"until": "2024-05-07T12:30:00+02:00"})).json()
    assert {one["id"] for one in everything["data"]} == {wanted["id"], other["id"]}
    assert (await house.call("eken", "GET", "/v1/messages", params={"until": "2024-05-07T09:00:00Z"})).json()[
        "data"
    ] == []
    (shown,) = [one for one in everything["data"] if one["id"] == wanted["id"]]
    assert shown["states"] == {"cancelled": 1, "waiting": 1}


@on_sqlite
@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"limit": "x"}, "limit"), ({"state": "gone"}, "state"),
        ({"since": "2024-05-07"}, "since"), ({"since": "2024-05-07T10:00:00 02:00"}, "since"), ({"until": "9999999"}, "until"),
        ({"cursor": "x"}, "cursor"), ({"to": "\0@b.example"}, "to"), ({"tag": "\0"}, "tag"), ({"message_id": "å"}, "message_id"),
        ({"nej": "1"}, "nej"),
    ],
)  # fmt: skip
async def test_a_filter_that_does_not_fit_is_named(house: House, params: dict[str, str], param: str) -> None:
    answer = await house.call("eken", "GET", "/v1/messages", params=params)
    assert (answer.status_code, answer.json()["param"]) == (422, param)


async def test_the_timeline_has_what_happened_in_order_with_the_other_sides_words(house: House) -> None:
    id = (await house.send(to=["asa@tenant.example", "bo@tenant.example"])).json()["id"]
    started = house.web.clock.now() - timedelta(seconds=1)
    route = house.web.facts.value.route("ut")
    assert route
    refusal = Reply(550, "5.1.1", "No such user here")
    attempt = Attempt(route.id, started, "failed", refusal, "mx.tenant.example[192.0.2.7]:25")
    happen(house, id, 1, What.LEASE, What.COMMIT, What.FAIL, attempt=attempt)
    shown = (await house.call("eken", "GET", f"/v1/messages/{id}")).json()
    assert [(one["address"], one["state"], one["attempts"]) for one in shown["recipients"]] == [
        ("asa@tenant.example", "waiting", 0), ("bo@tenant.example", "failed", 1),
    ]  # fmt: skip
    accepted, failed = shown["timeline"]
    assert (accepted["type"], accepted["recipient"], accepted["reason"]) == ("accepted", None, "product_route")
    assert failed == {
        "at": failed["at"], "type": "failed", "recipient": "bo@tenant.example", "route": "ut", "attempt": 1,
        "reply": "550 5.1.1 No such user here", "remote": "mx.tenant.example[192.0.2.7]:25", "reason": None, "words": None,
    }  # fmt: skip
    alone = (await house.call("eken", "GET", f"/v1/messages/{id}-0/timeline")).json()
    assert [one["type"] for one in alone["data"]] == ["accepted"]
    both = (await house.call("eken", "GET", f"/v1/messages/{id}/timeline")).json()
    assert both["data"] == shown["timeline"]


async def test_cancelling_takes_back_those_who_have_not_been_sent_to(house: House) -> None:
    id = (await house.send(to=[f"{name}@tenant.example" for name in ("asa", "bo", "cecilia", "dag")])).json()["id"]
    happen(house, id, 0, What.LEASE, What.COMMIT, What.DELIVER)
    happen(house, id, 1, What.LEASE)
    answer = await house.call("eken", "POST", f"/v1/messages/{id}/cancel")
    assert (answer.status_code, answer.json()) == (200, {"id": id, "cancelled": 2, "not_cancelled": 2})
    states = [one["state"] for one in (await house.call("eken", "GET", f"/v1/messages/{id}")).json()["recipients"]]
    assert states == [State.DELIVERED, State.LEASED, State.CANCELLED, State.CANCELLED]


async def test_one_recipient_can_be_cancelled_alone(house: House) -> None:
    id = (await house.send(to=["asa@tenant.example", "bo@tenant.example"])).json()["id"]
    answer = await house.call("eken", "POST", f"/v1/messages/{id}-1/cancel")
    assert answer.json() == {"id": f"{id}-1", "cancelled": 1, "not_cancelled": 0}
    states = [one["state"] for one in (await house.call("eken", "GET", f"/v1/messages/{id}")).json()["recipients"]]
    assert states == [State.WAITING, State.CANCELLED]


async def test_what_has_ended_cannot_be_cancelled(house: House) -> None:
    id = (await house.send()).json()["id"]
    happen(house, id, 0, What.LEASE, What.COMMIT, What.DELIVER)
    answer = await house.call("eken", "POST", f"/v1/messages/{id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    assert "delivered" in answer.json()["detail"]


# --- scope ---------------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "/v1/messages/{id}"), ("GET", "/v1/messages/{id}-0"), ("GET", "/v1/messages/{id}/timeline"),
    ("GET", "/v1/messages/{id}-0/timeline"), ("POST", "/v1/messages/{id}/cancel"), ("POST", "/v1/messages/{id}-0/cancel"),
]  # fmt: skip


@pytest.mark.parametrize("reader", ["linden", "eken_test", "vendor as linden"])
async def test_what_is_not_yours_is_not_there(house: House, reader: str) -> None:
    id = (await house.send()).json()["id"]
    nothing = "0" * 26
    key, _, customer = reader.partition(" as ")
    headers = {"X-Ombud-Customer": customer} if customer else {}
    for method, path in ROUTES:
        theirs = await house.call(key, method, path.format(id=id), headers=headers)
        absent = await house.call(key, method, path.format(id=nothing), headers=headers)
        assert theirs.status_code == absent.status_code == 404
        assert _without_ids(theirs.json()) == _without_ids(absent.json())
    for params in ({}, {"to": "asa@tenant.example"}, {"state": "waiting"}, {"cursor": "z" * 26}):
        assert (await house.call(key, "GET", "/v1/messages", params=params, headers=headers)).json()["data"] == []
    (mine,) = (await house.call("eken", "GET", "/v1/messages")).json()["data"]
    assert mine["states"] == {"waiting": 1}, "nobody cancelled it"


def _without_ids(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name not in ("request_id", "detail")}


async def test_keys_of_the_same_customer_and_product_see_the_same_mail(house: House) -> None:
    id = (await house.send()).json()["id"]
    for key in ("eken", "eken_other", "vendor"):
        assert (await house.call(key, "GET", f"/v1/messages/{id}")).status_code == 200
    named = await house.call("vendor", "GET", "/v1/messages", headers={"X-Ombud-Customer": "eken"})
    assert [one["id"] for one in named.json()["data"]] == [id]
    foreign = await house.call("eken", "GET", "/v1/messages", headers={"X-Ombud-Customer": "linden"})
    assert foreign.status_code == 404


@on_sqlite
@pytest.mark.parametrize(
    "id",
    ["x", "0" * 27, "0" * 26 + "-", "0" * 26 + "-x", "0" * 26 + "-1000000", "%00", "å" * 26, "batch", "0" * 26 + "-٣"],
)
async def test_an_id_that_is_none_is_not_found(house: House, id: str) -> None:
    for path in (f"/v1/messages/{id}", f"/v1/messages/{id}/timeline"):
        answer = await house.call("eken", "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
