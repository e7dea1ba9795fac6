"""The ways out: one folder or file per provider, and the list of them. `provider.py` says what a provider is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ombud.errors import Misconfigured
from ombud.mail.records import Record
from ombud.providers.nowhere import Nowhere
from ombud.providers.provider import Provider, Surroundings
from ombud.providers.smtp import Smtp
from ombud.settings import DeliverySettings

PROVIDERS: dict[str, type[Provider]] = {"nowhere": Nowhere, "smtp": Smtp}


def make_provider(
    name: str,
    settings: Mapping[str, object],
    secret: str,
    around: Surroundings,
    *,
    connections: int,
    delivery: DeliverySettings | None = None,
) -> Provider:
    """The provider of a route, with the installation's defaults where the route's own settings say nothing.

    `connections` is the route's limit, `delivery` the installation's settings. Raises Misconfigured when there is no such
    provider, BadField when a setting is wrong.
    """
    if name not in PROVIDERS:
        raise Misconfigured(reason=f"there is no provider {name}; there are {', '.join(sorted(PROVIDERS))}")
    if name == "smtp":
        settings = {**_smtp_defaults(delivery or DeliverySettings()), "connections": connections, **settings}
    return PROVIDERS[name].make(settings, secret, around)


def records_for(name: str, domain: str, settings: Mapping[str, object]) -> Sequence[Record]:
    """What a route of this provider asks of a sender domain's DNS. Raises as `make_provider` does."""
    if name not in PROVIDERS:
        raise Misconfigured(reason=f"there is no provider {name}; there are {', '.join(sorted(PROVIDERS))}")
    return PROVIDERS[name].records(domain, settings)


def _smtp_defaults(delivery: DeliverySettings) -> dict[str, object]:
    return {"ca_file": str(delivery.ca_file or ""), "bind": delivery.bind_address}
