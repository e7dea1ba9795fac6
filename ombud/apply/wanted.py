"""What a file asks for, as values: read and checked, and not yet compared with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ombud.apply.campaigns import WantedCampaign
from ombud.apply.people import WantedVendor, WantedWebhook
from ombud.apply.plans import WantedPlan
from ombud.billing.basis import Seller
from ombud.billing.parties import Payer
from ombud.choices.subprocessors import Subprocessor
from ombud.domains.keys import SLOTS
from ombud.mail.dkim import Algorithm
from ombud.routing import Limits

#: In `WantedCustomer.routes`: the route for every product that has no own one.
EVERY_PRODUCT = ""


@dataclass(frozen=True, slots=True)
class WantedRoute:
    """A route as the file (or `ombud routes add`) asks for it; `customer` "" is the vendor."""

    slug: str
    provider: str
    settings: Mapping[str, object]
    password: str = field(default="", repr=False)
    customer: str = ""
    region: str = "EU"
    sign: bool = False
    billable: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class WantedProduct:
    slug: str
    name: str
    route: str = ""  # what everyone's mail from it takes that has no other; "": the file does not say


@dataclass(frozen=True, slots=True)
class WantedCustomer:
    slug: str
    name: str
    org_number: str = ""
    domain: str = ""
    contact_name: str = ""
    contact_email: str = ""
    language: str = "sv"
    # Product (or EVERY_PRODUCT) to route, exactly: others are taken away. None: the file does not say.
    routes: Mapping[str, str] | None = None
    alternative: str = ""  # what it has chosen in the list's campaign; "": nothing, or the file does not say
    group: str | None = None  # of companies that one person may choose for; "": none. None: the file does not say.
    payer: Payer | None = None  # how it wants to be invoiced; None: the file does not say
    where: str = ""  # in the file, for whoever must find it


@dataclass(frozen=True, slots=True)
class WantedDomain:
    name: str
    customer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dkim:
    """What keys are made for the domains whose mail Ombud signs."""

    selector: str = "om1"
    algorithms: tuple[Algorithm, ...] = ("rsa-sha256",)
    vendor_zone: str = ""  # the installation's, where the keys' records stand; "": with the customers

    def selector_of(self, algorithm: Algorithm) -> str:
        """Each key has a name of its own: two keys under one would be two records at one place (RFC 6376 3.6.2.2)."""
        if self.vendor_zone:
            return SLOTS[algorithm][0]
        kind = algorithm.removesuffix("-sha256")
        return self.selector if algorithm == self.algorithms[0] else f"{self.selector}-{kind}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A whole file."""

    vendor: str = ""
    allowed_regions: frozenset[str] | None = None  # None: the file does not say
    routes: tuple[WantedRoute, ...] = ()
    products: tuple[WantedProduct, ...] = ()
    customers: tuple[WantedCustomer, ...] = ()
    domains: tuple[WantedDomain, ...] = ()
    campaigns: tuple[WantedCampaign, ...] = ()
    chosen_in: str = ""  # the slug of the campaign that the customers' alternatives are of; "": of none
    chosen_live: bool = False  # their mail goes by it at once, on the operator's word
    subprocessors: tuple[Subprocessor, ...] = ()
    plans: tuple[WantedPlan, ...] = ()
    seller: Seller | None = None  # None: the file does not say
    letters: WantedVendor | None = None  # who writes the vendor's own letters; None: the file does not say
    webhooks: tuple[WantedWebhook, ...] = ()
    dkim: Dkim = field(default_factory=Dkim)
