"""What monitoring is told agrees with what was sent."""

from __future__ import annotations

import contextlib

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.flows.conftest import Serve
from tests.flows.house import House, mail, until


def _metrics(house: House) -> dict[str, float]:
    """Every sample by its name and the values of its labels."""
    with httpx2.Client(verify=False) as client:
        text = client.get(f"{house.http}/metrics").text
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_agree_with_what_was_sent(serve: Serve) -> None:
    house = serve().house
    assert house.call("GET", "/readyz", who="").body == {"status": "ready", "missing": []}
    for n in range(5):
        assert house.submit(f"s{n}@post.example")[0] == 250
    assert (
        house.post(to=["h0@post.example", "h1@post.example", "never@post.example", "later@post.example"]).status == 202
    )
    assert house.post(who="test", to=["t@post.example"]).status == 202
    assert house.submit(content=mail(sender="hyra@linden.example"))[0] == 550
    assert house.submit(content=b"From: hyra@eken.example\r\n\r\na\0b\r\n")[0] == 550
    assert house.post(**{"from": "hyra@linden.example"}).status == 403
    house.settled()
    expected = {
        "ombud_accepted_recipients_total": 10, "ombud_smtp_messages_total accepted": 5, "ombud_smtp_messages_total refused": 2,
        "ombud_refused_messages_total domain_not_proved": 2, "ombud_attempts_total delivered": 8, "ombud_attempts_total failed": 1,
        "ombud_attempts_total deferred": 1, "ombud_attempts_total unknown": 0, "ombud_delivery_in_flight": 0,
        "ombud_queue_recipients waiting": 0, "ombud_queue_recipients sending": 0, "ombud_smtp_connections_total": 7,
        "ombud_smtp_auth_failures_total": 0, "ombud_route_breaker_open hop": 0, "ombud_route_paused hop": 0,
    }  # fmt: skip
    with contextlib.suppress(
        AssertionError
    ):  # the queue is counted every few seconds, and the last task has yet to end
        until(lambda: expected.items() <= _metrics(house).items(), 20)
    told = _metrics(house)
    assert {name: told.get(name) for name in expected} == expected
    assert house.hop.taken.total() == 7  # all that was delivered, but for the test key's
    assert told["ombud_commits_total"] <= told["ombud_committed_pieces_total"]
