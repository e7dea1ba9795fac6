"""The socket that a question goes out by.

Not the event loop's own datagram endpoint: uvloop leaves one open for ever when the task that awaits it is cancelled while it is
being made, and then cannot be closed itself; a service that stops in the middle of a question would hang.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import dns.asyncbackend
import dns.exception


class Datagrams(dns.asyncbackend.DatagramSocket):  # type: ignore[misc,name-defined]  # it re-exports it untyped
    """A UDP socket to one name server; the system lets nothing through that another address sent. Use it in an `async with`."""

    def __init__(self, family: int, host: str, port: int) -> None:
        """Raises OSError when no way leads there."""
        super().__init__(family, socket.SOCK_DGRAM)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect((host, port))
        except OSError:
            self._socket.close()
            raise

    async def sendto(self, what: bytes, destination: object, timeout: float | None) -> int:  # noqa: ASYNC109 - dnspython's signature
        await asyncio.get_running_loop().sock_sendall(self._socket, what)
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:  # noqa: ASYNC109 - as above
        """Raises dns.exception.Timeout after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                data = await asyncio.get_running_loop().sock_recv(self._socket, size)
        except TimeoutError as error:
            raise dns.exception.Timeout(timeout=timeout) from error  # type: ignore[no-untyped-call]  # dnspython's
        return data, self._socket.getpeername()

    async def close(self) -> None:
        self._socket.close()

    async def getpeername(self) -> Any:
        return self._socket.getpeername()

    async def getsockname(self) -> Any:
        return self._socket.getsockname()
