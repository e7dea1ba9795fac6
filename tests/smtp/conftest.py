"""A door on loopback in a thread of its own, so that stock, blocking clients can knock; on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from smtplib import SMTP
from typing import Any

import pytest
import uvloop

from ombud.errors import BadCredentials
from ombud.mail.address import Address
from ombud.settings import SmtpSettings
from ombud.smtp import SubmissionDoor
from ombud.smtp.certificate import make_certificate
from ombud.smtp.throttle import Throttle

NAME = "mx.ombud.example"


@dataclass(frozen=True)
class Taken:
    """One call of `submit`."""

    sender: str
    mail_from: Address | None
    recipients: tuple[Address, ...]
    content: bytes
    utf8: bool
    peer: str
    tls: str
    helo: str


class House:
    """What stands behind the door: knows alice and her password, and keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.fails: Exception | None = None
        self.auth_fails: Exception | None = None
        self.takes_seconds = 0.0

    async def authenticate(self, user: str, password: str, peer: str, /) -> str:
        if self.auth_fails:
            raise self.auth_fails
        if (user, password) != ("alice", "secret"):
            raise BadCredentials
        return user

    async def submit(
        self, sender: str, mail_from: Address | None, recipients: tuple[Address, ...], content: bytes, /,
        *, utf8: bool, peer: str, tls: str, helo: str,
    ) -> str:  # fmt: skip
        await asyncio.sleep(self.takes_seconds)
        if self.fails:
            raise self.fails
        self.taken.append(Taken(sender, mail_from, recipients, content, utf8, peer, tls, helo))
        return f"m{len(self.taken)}"


class Running:
    """A started door, its house, and clients for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, **settings: Any) -> None:
        self.house = House()
        self.files = make_certificate(directory, NAME)
        self._loop = loop
        self.faults: list[dict[str, Any]] = []  # what nobody caught
        loop.set_exception_handler(lambda _, fault: self.faults.append(fault))
        self._thread = threading.Thread(target=loop.run_forever, daemon=True)
        self._thread.start()
        self._stopping: Future[None] | None = None
        self.door = self.run(self._open(SmtpSettings(starttls_port=0, tls_port=0, **settings)))

    async def _open(self, settings: SmtpSettings) -> SubmissionDoor[str]:
        door = SubmissionDoor(
            settings, NAME, self.files, authenticate=self.house.authenticate, submit=self.house.submit
        )
        door.throttle = Throttle(first=0.01)
        await door.start()
        return door

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def stop_later(self, grace: float = 0.2) -> Future[None]:
        """Begin to stop; the result is there when it is done."""
        self._stopping = asyncio.run_coroutine_threadsafe(self.door.stop(grace), self._loop)
        return self._stopping

    def close(self) -> None:
        (self._stopping or self.stop_later()).result(timeout=20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def tls_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.files[0]))

    def stock(self) -> SMTP:
        """The standard library's client, TLS on by STARTTLS."""
        client = SMTP("127.0.0.1", self.door.starttls_port, local_hostname="client.example", timeout=20)
        client.starttls(context=self.tls_context())
        return client

    def alice(self) -> SMTP:
        client = self.stock()
        client.login("alice", "secret")
        return client

    def knock(self, port: int) -> socket.socket:
        """A connection on which nothing is said."""
        return socket.create_connection(("127.0.0.1", port), timeout=20)

    def unconnected(self) -> socket.socket:
        """For a client that has its file before it knocks."""
        client = socket.socket()
        client.settimeout(20)
        return client

    def raw(self, *, greeting: bool = True) -> Wire:
        wire = Wire(self.knock(self.door.starttls_port))
        if greeting:
            assert wire.line().startswith("220 ")
        return wire

    def raw_tls(self) -> Wire:
        """A socket under TLS, greeted, to say anything on."""
        wire = Wire(self.knock(self.door.tls_port), self.tls_context())
        assert wire.line().startswith("220 ")
        return wire

    def raw_alice(self) -> Wire:
        """The same, authenticated."""
        wire = self.raw_tls()
        wire.say(b"HELO client.example\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")
        assert [wire.line()[:3], wire.line()[:3]] == ["250", "235"]
        return wire

    def waits_for(self, condition: Callable[[], bool]) -> None:
        """Until it is so, on the other thread; at most 10 s."""
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)


class Wire:
    """A client that says exactly the bytes it is given."""

    def __init__(self, client: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self.socket = client
        if tls:
            self.start_tls(tls)
        else:
            self._file = client.makefile("rb")

    def start_tls(self, tls: ssl.SSLContext) -> None:
        self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> str:
        """The next line of the server's; "" when it has closed."""
        try:
            return self._file.readline().decode().removesuffix("\r\n")
        except (ConnectionResetError, ssl.SSLEOFError):
            return ""

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


Opener = Callable[..., Running]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens a door with these settings; it is stopped when the test is over."""
    doors: list[Running] = []

    def opens(**settings: Any) -> Running:
        doors.append(Running(request.param(), tmp_path, **settings))
        return doors[-1]

    yield opens
    for door in doors:
        door.close()
    assert [fault for door in doors for fault in door.faults] == []


@pytest.fixture
def running(opened: Opener) -> Running:
    return opened()
