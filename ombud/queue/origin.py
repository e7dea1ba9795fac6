"""Where mail comes from: what a decision about mail that waits depends on, beside whose it is."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """The product that sent it, and the domain of its From address."""

    product_id: int
    sender_domain: str

    @classmethod
    def of(cls, product_id: int, header_from: str) -> Origin:
        return cls(product_id, header_from.rpartition("@")[2])
