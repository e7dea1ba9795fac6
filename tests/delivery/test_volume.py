"""Mail to the receivers who count their senders' mail is counted in the hand-over, for the sender's whole organisation."""

from __future__ import annotations

from datetime import timedelta

from ombud.domains.volume import volumes
from ombud.mail.rules import Receiver
from ombud.queue import State
from tests.delivery.conftest import MAIL, House


async def test_what_is_handed_over_to_gmail_and_outlook_is_counted_for_the_organisation(house: House) -> None:
    below = MAIL.replace(b"hyra@eken.example", b"hyra@avi.eken.example")
    everyone = ("a@gmail.com", "b@GoogleMail.com", "c@hotmail.se", "d@post.example")
    first, second = await house.submit(*everyone), await house.submit("e@gmail.com", "never@gmail.com", content=below)
    assert await house.settled(first) == [State.DELIVERED] * 4
    assert await house.settled(second) == [State.DELIVERED, State.FAILED]
    with house.database.read() as tx:
        now = house.clock.now()
        assert volumes(tx, now) == {("eken.example", Receiver.GMAIL): 3, ("eken.example", Receiver.OUTLOOK): 1}
        assert volumes(tx, now + timedelta(hours=26)) == {}
