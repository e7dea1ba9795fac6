"""Looking up names. An answer is one of three: found, definitely not there, or nobody knows."""

from ombud.dns.answer import Answer, Authority, NameServer, Status, canonical
from ombud.dns.memory import remembering
from ombud.dns.resolver import Resolver
from ombud.dns.update import UpdateServer
from ombud.dns.zone import Ask, Records, Zone, overlaid

__all__ = [
    "Answer", "Ask", "Authority", "NameServer", "Records", "Resolver", "Status", "UpdateServer", "Zone", "canonical", "overlaid",
    "remembering",
]  # fmt: skip
