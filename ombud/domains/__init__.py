"""Sender domains: which customer has proved which domain, and the keys that sign for it."""

from ombud.domains.keys import KeyRecord, KeyRing, active_keys, destroy_keys, keep_key, key_records, load_key_ring
from ombud.domains.ownership import Domain, Ownership, forget_domain, load_ownership, prove_domain

__all__ = [
    "Domain", "KeyRecord", "KeyRing", "Ownership", "active_keys", "destroy_keys", "forget_domain", "keep_key", "key_records",
    "load_key_ring", "load_ownership", "prove_domain",
]  # fmt: skip
