"""A listening socket: takes clients out of the backlog as they come, and rests while the process cannot open more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

log = structlog.get_logger("ombud.smtp")

_BACKLOG = 1024
_AT_ONCE = 16  # clients taken at a time: however many come, those who are here get their turn
_REST = 1.0  # seconds


class Listener:
    """Gives each client's socket, not blocking, and its address to `take`, from when it is made until `close`.

    Not the event loop's own server: that one shows a TLS client only after the handshake, uncounted until then. Nor its
    `sock_accept`: a client that comes as that is cancelled is lost, its socket open.
    """

    def __init__(self, host: str, port: int, take: Callable[[socket.socket, str], None]) -> None:
        """Raises OSError if the port is taken; 0 is any free one. `port` says which."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._look()

    def close(self) -> None:
        """Take no more; who is in the backlog is refused."""
        if self._rest:
            self._rest.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _look(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # that client has left again; the next is none the worse
                continue
            except OSError as error:  # out of file descriptors, mostly; those who wait do so in the backlog
                log.error("accept_failed", reason=error.strerror)
                self._loop.remove_reader(self._socket)  # it stays readable: to look again at once would burn the CPU
                self._rest = self._loop.call_later(_REST, self._look)
                return
            client.setblocking(False)
            self._take(client, address[0])
