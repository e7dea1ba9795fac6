"""The outside: a name server that takes dynamic updates, and a receiver that verifies with dkimpy and keeps DNS answers for as
long as it may. It shares no code with what it judges."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import dkim
import dns.exception
import dns.message
import dns.nameserver
import dns.resolver

from ombud.sandbox.nameserver import NameServer, Zones

_END = b"\r\n.\r\n"


class FastZones(Zones):
    """Zones in a world whose clock runs fast: what may be kept for 300 seconds may be kept for 300 of the world's."""

    def __init__(self, speed: int) -> None:
        self._speed = speed
        super().__init__()

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        response = super().answer(query)
        if response is not None:
            for rrset in (*response.answer, *response.authority):
                rrset.ttl = max(1, rrset.ttl // self._speed)
        return response


@dataclass
class Arrival:
    """One mail as it was judged: when it came, and (`late`) when the slowest way would have brought it."""

    at_once: str = ""
    late: str = ""


@dataclass
class Outside:
    """Runs in a thread of its own. `slowest`: seconds after which each mail is judged a second time."""

    zones: FastZones
    slowest: float
    arrivals: list[Arrival] = field(default_factory=list)
    dns_port: int = 0
    smtp_port: int = 0

    def start(self) -> None:
        self._threads = ThreadPoolExecutor(8, "verify")
        self._local = threading.local()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.wait(10)

    def stop(self) -> None:
        """Wait for what is still to be judged, then end."""
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(self.slowest + 60)
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._threads.shutdown()

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._judging: set[asyncio.Task[None]] = set()
        nameserver = NameServer(self.zones)
        await nameserver.start()
        server = await self._loop.create_server(lambda: _Receiver(self), "127.0.0.1", 0, backlog=512)
        self.dns_port, self.smtp_port = nameserver.address[1], server.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        server.close()
        await nameserver.stop()

    async def _settle(self) -> None:
        while self._judging:
            await asyncio.wait(self._judging)

    def took(self, content: bytes) -> None:
        arrival = Arrival()
        self.arrivals.append(arrival)
        task = self._loop.create_task(self._judge(arrival, content))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def _judge(self, arrival: Arrival, content: bytes) -> None:
        arrival.at_once = await self._loop.run_in_executor(self._threads, self._verdict, content)
        await asyncio.sleep(random.uniform(0.6, 1.0) * self.slowest)
        arrival.late = await self._loop.run_in_executor(self._threads, self._verdict, content)

    def _verdict(self, content: bytes) -> str:
        """ "" when every signature verifies; else why not. A name server that is slow for a moment is asked again, as anybody would."""
        try:
            verifier = dkim.DKIM(content)
            count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
            if not count:
                return "there is no signature"
            good = [dkim.DKIM(content).verify(idx=index, dnsfunc=self._key) for index in range(count)]
            return "" if all(good) else "a signature does not fit"
        except dkim.DKIMException as error:
            return str(error)

    def _key(self, name: bytes, timeout: float = 5) -> bytes | None:
        resolver = self._resolver()
        for _ in range(10):
            try:
                return b"".join(resolver.resolve(name.decode(), "TXT")[0].strings)
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                return None
            except dns.exception.DNSException:
                continue
        return None

    def _resolver(self) -> dns.resolver.Resolver:
        """One for each thread, each with a memory of its own: eight receivers, in effect."""
        if not hasattr(self._local, "resolver"):
            made = dns.resolver.Resolver(configure=False)
            made.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", self.dns_port)]
            made.cache, made.lifetime = dns.resolver.LRUCache(), 10.0
            self._local.resolver = made
        return self._local.resolver  # type: ignore[no-any-return]  # threading.local has no types


class _Receiver(asyncio.Protocol):
    """One session of an SMTP server that takes everything."""

    def __init__(self, outside: Outside) -> None:
        self._outside, self._data, self._in_data = outside, bytearray(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 mx.mottagare.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._take_message() if self._in_data else self._take_command():
            pass

    def _take_command(self) -> bool:
        line, found, _ = self._data.partition(b"\r\n")
        if not found:
            return False
        verb = bytes(line[:4]).upper()
        answers = {b"EHLO": b"250-mx.mottagare.example\r\n250 PIPELINING\r\n", b"DATA": b"354 go on\r\n"}
        self._transport.write(answers.get(verb, b"250 ok\r\n"))
        self._in_data = verb == b"DATA"
        del self._data[: len(line) + (0 if self._in_data else 2)]  # the end of an empty message begins with DATA's CRLF
        return True

    def _take_message(self) -> bool:
        end = self._data.find(_END)
        if end < 0:
            return False
        self._outside.took(bytes(self._data[: end + 2]).replace(b"\r\n.", b"\r\n")[2:])
        del self._data[: end + len(_END)]
        self._in_data = False
        self._transport.write(b"250 taken\r\n")
        return True
