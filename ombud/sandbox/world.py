"""Puts the world together, starts and stops it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import idna
import trustme
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ombud.sandbox import cast, example
from ombud.sandbox.judge import Judge
from ombud.sandbox.nameserver import NameServer, Zones, resolver
from ombud.sandbox.receiver import Receiver, Reception
from ombud.sandbox.relay import Onward, Passage, Relay, Signer

_SIGNING_SELECTOR = "epost2024"


class World:
    """The sandbox: name server, receivers and relays, on loopback and free ports.

    `directory` gets `mail/<recipient domain>/` (Maildirs), `ca.pem` (the authority of the servers' certificates), and is where
    `dkim.zone` is looked for: lines as in a zone file, read again whenever it has changed (write it whole, then rename it).
    `greylist` names receivers' hosts that put off the first try of each sender and recipient.
    """

    def __init__(
        self, directory: Path, *, story: Path = example.DEFAULT, greylist: Collection[str] = (),
        receivers: Collection[Receiver] = cast.RECEIVERS,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.zones = Zones()
        self.receivers = [*receivers, _customers_receiver(story)]
        self.relays = list(cast.RELAYS)
        self.mx_port = 0
        self.receptions: dict[str, Reception] = {}
        self._greylist = greylist
        self._nameserver = NameServer(self.zones)
        self._ca = trustme.CA(organization_name="Ombud sandbox")
        self._judges = ThreadPoolExecutor(4, "judge")
        self._passages = ThreadPoolExecutor(32, "relay")
        self._servers: list[asyncio.Server] = []
        self._connections: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._onwards: list[Onward] = []
        self._ports: dict[str, int] = {}
        self.zones.add(cast.records(self.receivers, self.relays))
        self.zones.add((story / "dns.zone").read_text("utf-8"))

    async def start(self) -> None:
        """Start everything; `addresses()` says where. Raises OSError when it cannot listen."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(str(self.ca_file))
        self.zones.watch(self.directory / "dkim.zone")
        await self._nameserver.start()
        await self._start_receivers()
        for relay in self.relays:
            await self._start_relay(relay)

    async def stop(self) -> None:
        """Stop listening, finish what is being judged, and let go of every connection and thread."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.close()
        for onward in self._onwards:
            onward.hang_up()
        for threads in (self._passages, self._judges):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        for onward in self._onwards:
            onward.close()
        await self._nameserver.stop()

    def publish(self, name: str, kind: str, value: str) -> None:
        """Add a DNS record, seen at once by everyone. A TXT's value is the text itself. Raises ValueError for bad ones."""
        self.zones.publish(name, kind, value)

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def mail(self) -> Path:
        return self.directory / "mail"

    @property
    def dns(self) -> tuple[str, int]:
        return self._nameserver.address

    def addresses(self) -> dict[str, object]:
        """Where everything is, as plain values for JSON."""
        return {
            "dns": f"{self.dns[0]}:{self.dns[1]}",
            "maildir": str(self.mail),
            "ca_file": str(self.ca_file),
            "dkim_zone": str(self.directory / "dkim.zone"),
            "mx_port": self.mx_port,
            "servers": {
                relay.name: {
                    "host": relay.host,
                    "address": relay.address,
                    "port": self._ports[relay.name],
                    "user": relay.user,
                    "password": relay.password,
                }
                for relay in self.relays
            },
            "receivers": {receiver.host: sorted(receiver.domains) for receiver in self.receivers},
        }

    async def _start_receivers(self) -> None:
        """All on one port, each on its own address: an MX record has no room for a port (RFC 1035 3.3.9)."""
        sockets = _listen([receiver.address for receiver in self.receivers])
        self.mx_port = sockets[0].getsockname()[1]
        clients = {relay.address: relay.name for relay in self.relays}
        judge = Judge(resolver(self.dns))
        self.zones.on_change = judge.forget
        for receiver, listener in zip(self.receivers, sockets, strict=True):
            reception = Reception(
                receiver,
                judge=judge,
                threads=self._judges,
                store=self.mail,
                clients=clients,
                greylist=receiver.host in self._greylist,
            )
            self.receptions[receiver.host] = reception
            await self._serve(reception.protocol, receiver.host, receiver.address, listener)

    async def _start_relay(self, relay: Relay) -> None:
        onward = Onward(relay, resolver=resolver(self.dns), port=self.mx_port)
        self._onwards.append(onward)
        signer = self._signer(relay.signs) if relay.signs else None
        (listener,) = _listen([relay.address])
        self._ports[relay.name] = listener.getsockname()[1]

        def protocol(tls: ssl.SSLContext) -> SMTP:
            return Passage(relay, onward, self._passages, signer).protocol(tls)

        await self._serve(protocol, relay.host, relay.address, listener)

    async def _serve(
        self, protocol: Callable[[ssl.SSLContext], SMTP], host: str, address: str, listener: socket.socket
    ) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(host, address).configure_cert(tls)

        def connection() -> SMTP:
            made = protocol(tls)
            self._connections.add(made)
            return made

        self._servers.append(await asyncio.get_running_loop().create_server(connection, sock=listener, backlog=512))

    def _signer(self, domain: str) -> Signer:
        """A new key for a server that signs itself, with its public half published."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.publish(f"{_SIGNING_SELECTOR}._domainkey.{domain}", "TXT", f"v=DKIM1; k=rsa; p={_bare(public)}")
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return Signer(domain, _SIGNING_SELECTOR, pem)


def _customers_receiver(story: Path) -> Receiver:
    domains = (row["domain"] for row in example.load(story).customers)
    return Receiver(
        *cast.CUSTOMERS_RECEIVER, frozenset(idna.encode(domain, uts46=True).decode("ascii") for domain in domains)
    )


def _listen(addresses: list[str]) -> list[socket.socket]:
    """Listening sockets on all the addresses, on one port that is free on each of them."""
    for _ in range(50):
        sockets = [socket.create_server((addresses[0], 0), backlog=512)]
        port = sockets[0].getsockname()[1]
        try:
            sockets += [socket.create_server((address, port), backlog=512) for address in addresses[1:]]
        except OSError:
            for taken in sockets:
                taken.close()
            continue
        return sockets
    raise OSError("no port is free on all of the world's addresses")


def _bare(pem: bytes) -> str:
    return "".join(pem.decode("ascii").splitlines()[1:-1])
