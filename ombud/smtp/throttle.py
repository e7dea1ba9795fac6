"""How long a wrong password is answered for: longer each time, for each peer, so that guessing leads nowhere."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

_FIRST, _LONGEST = 0.5, 30.0  # seconds
_FORGOTTEN_AFTER = 900.0  # seconds without a failure
_PEERS = 10_000  # remembered; beyond it the one that has been quiet for longest is forgotten


class Throttle:
    """Failures by peer. It slows only those who fail: a stranger's guesses never keep the right user out."""

    def __init__(self, first: float = _FIRST) -> None:
        """`first` is the delay in seconds that the first failure costs."""
        self._first = first
        self._failures: dict[str, tuple[int, float]] = {}

    def failed(self, peer: str, now: float) -> float:
        """Note a failure at `now` (monotonic seconds); the seconds that it is to be answered after."""
        count, last = self._failures.pop(peer, (0, now))
        if now - last > _FORGOTTEN_AFTER:
            count = 0
        self._failures[peer] = (count + 1, now)  # at the end: the first is the one that has been quiet for longest
        if len(self._failures) > _PEERS:
            del self._failures[next(iter(self._failures))]
        return min(_LONGEST, self._first * 2.0 ** min(count, 16))


def peer_group(host: str) -> str:
    """Who is counted as one peer: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
