"""A route's return path: the envelope goes by a subdomain of its own, so that the customer's SPF need not be touched."""

from __future__ import annotations

import pytest

from ombud.db import Transaction
from ombud.mail.address import parse_address
from ombud.queue import State
from ombud.routing import load_facts
from ombud.submission import Submission
from tests.delivery.conftest import MAIL, House


def with_return_path(house: House) -> None:
    def settings(tx: Transaction) -> dict[str, object]:
        route = load_facts(tx).route("relay")
        assert route
        return {**route.settings, "return_path": "studs", "return_path_target": "studs.vendor.example"}

    with house.database.read() as tx:
        wanted = settings(tx)
    house.use_route("ny", settings=wanted)


@pytest.mark.parametrize("domain", ["eken.example", "hyra.eken.example"])
async def test_the_envelope_is_at_the_return_path_of_the_proved_domain(house: House, domain: str) -> None:
    with_return_path(house)
    content = MAIL.replace(b"hyra@eken.example", f"hyra@{domain}".encode())
    submission = Submission(parse_address(f"hyra@{domain}"), (parse_address("anna@post.example"),), content, "smtp")
    id = (await house.submissions.submit(house.sender(), submission)).id
    assert await house.settled(id) == [State.DELIVERED]
    assert house.relay.senders[-1].startswith(b"MAIL FROM:<hyra@studs.eken.example>")
    ((_, arrived),) = house.relay.got
    assert f"From: Bostads AB Eken <hyra@{domain}>".encode() in arrived, "what the reader sees stays as it was"


async def test_without_one_the_envelope_stays_as_it_came(house: House) -> None:
    await house.settled(await house.submit())
    assert house.relay.senders[-1].startswith(b"MAIL FROM:<hyra@eken.example>")


async def test_a_bounce_has_no_sender_on_any_route(house: House) -> None:
    with_return_path(house)
    submission = Submission(None, (parse_address("anna@post.example"),), MAIL, "smtp")
    id = (await house.submissions.submit(house.sender(), submission)).id
    assert await house.settled(id) == [State.DELIVERED]
    assert house.relay.senders[-1].startswith(b"MAIL FROM:<>")
