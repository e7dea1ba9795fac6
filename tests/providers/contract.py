"""What holds for every provider. A provider's tests subclass `ProviderContract` and give the fixtures `provider` and `delivered`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ombud.errors import BadField
from ombud.mail.address import Address
from ombud.providers.provider import Outgoing, Provider, Result, Surroundings

ALICE = Address("alice", "alice.example")
BOB = Address("bob", "bob.example")
CHARLIE = Address("charlie", "charlie.example")

CONTENT = b"From: alice@alice.example\r\nSubject: hej\r\n\r\nHej!\r\n"

Delivered = Callable[[], int]
"""How many messages have arrived at the other end; always 0 where there is none."""


def outgoing(*recipients: Address, content: bytes = CONTENT, needs_utf8: bool = False) -> Outgoing:
    return Outgoing(ALICE, recipients or (BOB,), content, needs_utf8)


async def go() -> bool:
    return True


async def lease_lost() -> bool:
    return False


async def resolve_loopback(host: str) -> list[str]:
    return ["127.0.0.1"]


AROUND = Surroundings(resolve=resolve_loopback, hello="ombud.example")


class ProviderContract:
    async def test_there_is_one_outcome_per_recipient_in_order(self, provider: Provider) -> None:
        outcomes = await provider.send(outgoing(BOB, CHARLIE, ALICE), go)
        assert [outcome.result for outcome in outcomes] == [Result.DELIVERED] * 3
        assert all(outcome.reply.ok and outcome.remote and not outcome.route_fault for outcome in outcomes)

    async def test_commit_is_awaited_once_and_before_anything_is_delivered(
        self, provider: Provider, delivered: Delivered
    ) -> None:
        seen = []

        async def commit() -> bool:
            await asyncio.sleep(0.02)
            seen.append(delivered())
            return True

        await provider.send(outgoing(), commit)
        assert seen == [0]

    async def test_when_the_lease_is_lost_nothing_is_delivered_and_nobody_blamed(
        self, provider: Provider, delivered: Delivered
    ) -> None:
        for content in (CONTENT, CONTENT + b"x\r\n" * 100_000):
            outcomes = await provider.send(outgoing(BOB, CHARLIE, content=content), lease_lost)
            assert [(outcome.result, outcome.route_fault) for outcome in outcomes] == [(Result.DEFERRED, False)] * 2
        await asyncio.sleep(0.05)
        assert delivered() == 0

    async def test_an_error_in_commit_passes_through_and_nothing_is_delivered(
        self, provider: Provider, delivered: Delivered
    ) -> None:
        async def commit() -> bool:
            raise LookupError("the database is gone")

        with pytest.raises(LookupError):
            await provider.send(outgoing(), commit)
        await asyncio.sleep(0.05)
        assert delivered() == 0

    async def test_a_cancelled_send_delivers_nothing_and_leaves_the_provider_usable(
        self, provider: Provider, delivered: Delivered
    ) -> None:
        committing = asyncio.Event()

        async def commit() -> bool:
            committing.set()
            await asyncio.sleep(60)
            return True

        sends = [asyncio.create_task(provider.send(outgoing(), commit)) for _ in range(provider.concurrency)]
        await committing.wait()
        for send in sends:
            send.cancel()
        await asyncio.gather(*sends, return_exceptions=True)
        assert delivered() == 0
        assert (await provider.send(outgoing(), go))[0].result is Result.DELIVERED

    async def test_more_sends_than_its_concurrency_only_wait(self, provider: Provider) -> None:
        sends = (provider.send(outgoing(), go) for _ in range(3 * provider.concurrency))
        assert {outcomes[0].result for outcomes in await asyncio.gather(*sends)} == {Result.DELIVERED}

    async def test_an_unknown_setting_is_refused_by_its_name(self, provider: Provider) -> None:
        with pytest.raises(BadField, match="colour"):
            type(provider).make({"colour": "red"}, "", AROUND)

    async def test_it_can_be_closed_twice(self, provider: Provider) -> None:
        await provider.send(outgoing(), go)
        await provider.close()
        await provider.close()
