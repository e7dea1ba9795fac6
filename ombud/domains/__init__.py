"""Sender domains: which customer has proved which domain, and the keys that sign for it."""

from ombud.domains.keys import KeyRing, active_keys, create_key, key_records, load_key_ring
from ombud.domains.ownership import Domain, Ownership, forget_domain, load_ownership, prove_domain

__all__ = [
    "Domain", "KeyRing", "Ownership", "active_keys", "create_key", "forget_domain", "key_records", "load_key_ring",
    "load_ownership", "prove_domain",
]  # fmt: skip
