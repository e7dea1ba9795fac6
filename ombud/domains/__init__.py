"""Sender domains: which customer has proved which domain, and the keys that sign for it."""

from ombud.domains.keys import (
    Key,
    KeyRecord,
    KeyRing,
    KeyState,
    Slot,
    active_keys,
    active_keys_by_domain,
    destroy_keys,
    keep_key,
    key_records,
    key_slots,
    keys_of,
    load_key_ring,
    put_next,
)
from ombud.domains.ownership import Domain, Ownership, forget_domain, load_ownership, prove_domain
from ombud.domains.proof import Proof, load_proven, proofs
from ombud.domains.rotating import Rotation, Round
from ombud.domains.rotation import Timing
from ombud.domains.watchlist import Lost, Standing, load_lost, standings

__all__ = [
    "Domain", "Key", "KeyRecord", "KeyRing", "KeyState", "Lost", "Ownership", "Proof", "Rotation", "Round", "Slot", "Standing", "Timing", "active_keys", "active_keys_by_domain",
    "destroy_keys", "forget_domain", "keep_key", "key_records", "key_slots", "keys_of", "load_key_ring", "load_lost", "load_ownership",
    "load_proven", "proofs", "prove_domain", "put_next", "standings",
]  # fmt: skip
