"""Who calls: the credential in the Authorization field, what it may see, and wrong keys counted for each peer."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request

from ombud import maillog
from ombud.accounts import Sender
from ombud.errors import BadCredentials, NotAuthenticated, NotFound, TooManyFailures
from ombud.queue import Scope
from ombud.web.world import Web

FREE_FAILURES = 10  # wrong keys that one peer may send in a row
FORGIVEN_EVERY = 6.0  # seconds until one more is allowed
PEERS = 10_000  # remembered; beyond it the one that has been quiet for longest is forgotten


class Who:
    """Turns a call into its sender. Call it before anything else is read."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._failures = Failures()

    def asks(self, request: Request) -> Sender:
        """The sender. Raises NotAuthenticated, BadCredentials, CustomerSuspended, TooManyFailures."""
        try:
            return self._web.submissions.authenticate_key(_key(request.headers.get("authorization")))
        except BadCredentials:
            maillog.login_failed("http", peer(request))
            self._failures.count(peer_group(peer(request)))
            raise

    def sees(self, sender: Sender, request: Request) -> Scope:
        """What the sender may see: its product's mail, in its mode, of its customer (or of the one that the call names)."""
        named = customer_named(request)
        if sender.customer and named not in ("", sender.customer.slug):
            raise NotFound(kind="customer", name=named)
        customer = sender.customer or (self._web.directory.value.customer(named) if named else None)
        return Scope(customer.id if customer else None, sender.product.id, sender.mode)


def customer_named(request: Request) -> str:
    return request.headers.get("x-ombud-customer", "").strip()[:100]


def peer(request: Request) -> str:
    return request.client.host if request.client else ""


def peer_group(host: str) -> str:
    """Who is counted as one peer: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address) or address.ipv4_mapped:
        return host
    return str(IPv6Address(int(address) >> 64 << 64))


class Failures:
    """Wrong keys by peer. Only who sends a wrong one is told to wait: a stranger's guesses keep no right key out.

    Guessing leads nowhere in any case (a key is 160 random bits); this keeps a lost program from filling the log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forgiven_at: dict[str, float] = {}

    def count(self, peer: str) -> None:
        """Note a failure. Raises TooManyFailures when the peer has had its share."""
        now = self._clock()
        at = max(self._forgiven_at.pop(peer, now), now)
        over = at - now - FREE_FAILURES * FORGIVEN_EVERY
        self._forgiven_at[peer] = at if over > 0 else at + FORGIVEN_EVERY  # at the end: the first is the quietest
        if len(self._forgiven_at) > PEERS:
            del self._forgiven_at[next(iter(self._forgiven_at))]
        if over > 0:
            raise TooManyFailures(seconds=max(1, round(over)))


def _key(authorization: str | None) -> str:
    """The API key in `Bearer KEY` (RFC 6750 2.1), or in `Basic` with the user `api` (RFC 7617 2)."""
    if not authorization:
        raise NotAuthenticated()
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _basic(value.strip())
    raise NotAuthenticated()


def _basic(value: str) -> str:
    try:
        user, _, key = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise BadCredentials() from None
    if user != "api":
        raise BadCredentials()
    return key
