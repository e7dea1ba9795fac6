"""What the files have that the locked basis has not: kept with the run, so that the run can be repeated to the byte.

A month may be locked though a customer's reference or number is missing. What the locked basis does not say is taken from what is known
of the customer when it is first handed over; what it does say is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ombud.billing.basis import Address, Basis, Buyer, Endpoint

_FIELDS = ("org_number", "vat_number", "reference", "order_number", "number")


def lacking(buyer: Buyer, today: Buyer) -> dict[str, Any]:
    """What the locked basis does not say of the buyer, and is known today; as JSON has it."""
    found: dict[str, Any] = {
        name: getattr(today, name) for name in _FIELDS if not getattr(buyer, name) and getattr(today, name)
    }
    if buyer.endpoint is None and today.endpoint is not None:
        found["endpoint"] = str(today.endpoint)
    bare = not (buyer.address.street or buyer.address.city)
    # The country decides who accounts for the VAT: it stays what it was.
    if bare and today.address.city and today.address.country == buyer.address.country:
        found["address"] = asdict(today.address)
    return found


def completed(basis: Basis, given: Mapping[str, Any]) -> Basis:
    """The basis with what `lacking` found."""
    values = dict(given)
    if "endpoint" in values:
        values["endpoint"] = Endpoint.parse(values["endpoint"])
    if "address" in values:
        values["address"] = Address(**values["address"])
    return replace(basis, buyer=replace(basis.buyer, **values)) if values else basis
