"""Making a route's provider: the installation's defaults, and what the route says itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ombud.errors import BadField, Misconfigured
from ombud.providers import make_provider
from ombud.providers.nowhere import Nowhere
from ombud.providers.provider import Surroundings
from ombud.providers.smtp import Smtp
from ombud.settings import DeliverySettings


async def nobody(host: str) -> Sequence[str]:
    return ()


AROUND = Surroundings(nobody, "ombud.example")


def test_the_installations_defaults_hold_where_the_route_says_nothing() -> None:
    delivery = DeliverySettings(bind_address="127.0.0.2")
    made = make_provider("smtp", {"host": "a.example"}, "", AROUND, connections=3, delivery=delivery)
    assert isinstance(made, Smtp)
    assert (made.route.bind, made.route.connections) == ("127.0.0.2", 3)
    own = {"host": "a.example", "bind": "127.0.0.3", "connections": 7}
    made = make_provider("smtp", own, "", AROUND, connections=3, delivery=delivery)
    assert isinstance(made, Smtp)
    assert (made.route.bind, made.route.connections) == ("127.0.0.3", 7)


def test_a_provider_without_settings_is_given_none() -> None:
    assert isinstance(make_provider("nowhere", {}, "", AROUND, connections=3), Nowhere)


def test_a_provider_that_does_not_exist_and_a_wrong_setting_are_told() -> None:
    with pytest.raises(Misconfigured, match="there is no provider snail; there are nowhere, smtp"):
        make_provider("snail", {}, "", AROUND, connections=3)
    with pytest.raises(BadField, match="hots"):
        make_provider("smtp", {"hots": "a.example"}, "", AROUND, connections=3)
