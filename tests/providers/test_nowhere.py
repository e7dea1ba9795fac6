from __future__ import annotations

import pytest

from ombud.providers import PROVIDERS
from ombud.providers.nowhere import Nowhere
from tests.providers.contract import AROUND, Delivered, ProviderContract, go, outgoing


class TestNowhere(ProviderContract):
    @pytest.fixture
    def provider(self) -> Nowhere:
        return Nowhere.make({}, "", AROUND)

    @pytest.fixture
    def delivered(self) -> Delivered:
        return lambda: 0

    async def test_it_says_that_nothing_was_sent(self, provider: Nowhere) -> None:
        (outcome,) = await provider.send(outgoing(), go)
        assert str(outcome.reply) == "250 2.0.0 test mode: nothing was sent"


def test_every_provider_stands_in_the_list_by_its_name() -> None:
    assert set(PROVIDERS) == {"nowhere", "smtp"}
