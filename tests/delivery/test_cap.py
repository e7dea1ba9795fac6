"""A customer's own hard cap holds bulk mail by the route that is billed, and nothing else, until it is raised or the month is over."""

from __future__ import annotations

from datetime import timedelta

from ombud.billing.alarms import Level, due_alarms, put_alarms, set_cap
from ombud.queue import State, Stream
from tests.delivery.conftest import House


def look(house: House) -> list[Level]:
    with house.database.write() as tx:
        found = [one.level for one in put_alarms(tx, due_alarms(tx, house.clock.now()), house.clock.now())]
    house.refresh()
    return found


def cap(house: House, emails: int) -> None:
    with house.database.write() as tx:
        set_cap(tx, house.cast.eken.id, emails, house.clock.now(), "åsa", hard=True)
    house.refresh()


async def sent(house: House, stream: Stream) -> State:
    id = await house.submit(stream=stream)
    (state,) = await house.settled(id, State.DELIVERED, State.HELD)
    return state


async def test_over_the_cap_bulk_mail_waits_and_the_rest_leaves(house: House) -> None:
    cap(house, 1)
    assert await sent(house, Stream.BULK) is State.DELIVERED
    assert look(house) == [Level.HARD_CAP]
    assert await sent(house, Stream.TRANSACTIONAL) is State.DELIVERED
    assert await sent(house, Stream.IMPORTANT) is State.DELIVERED
    id = await house.submit(stream=Stream.BULK)
    assert await house.settled(id, State.HELD) == [State.HELD]
    await house.following.look()
    assert await house.states(id) == [State.HELD]
    cap(house, 1_000)
    await house.following.look()
    assert await house.settled(id) == [State.DELIVERED]
    assert "released" in [one.type for one in await house.timeline(id)]


async def test_bulk_mail_in_the_queue_is_held_too_and_leaves_when_the_month_is_over(house: House) -> None:
    cap(house, 1)
    house.pause("relay")
    id = await house.submit(stream=Stream.BULK)
    house.resume("relay")
    assert await house.settled(id) == [State.DELIVERED]
    house.pause("relay")
    late = await house.submit(stream=Stream.BULK)
    assert look(house) == [Level.HARD_CAP]
    house.resume("relay")
    assert await house.settled(late, State.HELD) == [State.HELD]
    house.clock.turn(timedelta(days=31))
    await house.following.look()
    assert await house.settled(late) == [State.DELIVERED]
