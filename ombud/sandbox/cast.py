"""Who is in the world besides the customers: the recipients' mail servers, the smart hosts, and the records of them all."""

from __future__ import annotations

from collections.abc import Iterable

from ombud.sandbox.receiver import Receiver
from ombud.sandbox.relay import Relay

#: `storpost.example` stands for the large receiver that began to refuse unauthenticated mail on 2024-02-01.
RECEIVERS = (
    Receiver("mx.storpost.example", "127.0.10.1", frozenset({"storpost.example"}), strict=True),
    Receiver(
        "mx.hemmanet.example", "127.0.10.2",
        frozenset({"hemmanet.example", "brevfacket.example", "fiberbyn.example", "epostis.example"}),
    ),
    Receiver("mx.bredbandet.example", "127.0.10.3", frozenset({"bredbandet.example", "mejlen.example", "larosatet.example"})),
)  # fmt: skip

#: Takes the mail to the customers themselves; their domains are added when the world is made.
CUSTOMERS_RECEIVER = ("mx.kundpost.example", "127.0.10.4")

#: The passwords open nothing but a server on loopback that lives as long as the demo.
RELAYS = (
    Relay("underleverantör", "smtp.underleverantor.example", "127.0.20.1", "molntjanst", "demo-underleverantor"),
    Relay("mailgun-eu", "smtp.mailgun-eu.example", "127.0.21.1", "postmaster@molntjanst.example", "demo-mailgun-eu"),
    Relay("egen-server", "smtp.molntjanst.example", "127.0.22.1"),
    Relay("eken", "smtp.eken.example", "127.0.23.1", "ombud@eken.example", "demo-eken", signs="eken.example"),
)


def records(receivers: Iterable[Receiver], relays: Iterable[Relay]) -> str:
    """The zone-file lines of the servers, and of the domains whose mail they take."""
    lines = ["ns1.namnserver.example. IN A 127.0.0.1"]
    for receiver in receivers:
        lines.append(f"{receiver.host}. IN A {receiver.address}")
        lines += [f"{domain}. IN MX 10 {receiver.host}." for domain in sorted(receiver.domains)]
    for relay in relays:
        provider = relay.host.partition(".")[2]
        lines += [
            f"{relay.host}. IN A {relay.address}",
            # What the provider's customers include in their own SPF record, and what it says of its HELO name.
            f'spf.{provider}. IN TXT "v=spf1 ip4:{relay.address} -all"',
            f'{relay.host}. IN TXT "v=spf1 a -all"',
        ]
    return "\n".join(lines) + "\n"
