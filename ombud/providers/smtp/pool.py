"""The connections of one route: reused, never more than allowed, handed out first come first served, closed when idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.providers.smtp.connection import Connection, NoSession
from ombud.providers.smtp.route import SmtpRoute

CLOSING = Answer(Stage.OURS, Reply(421, "4.3.2", "this route is being closed; nothing was sent"))


class Pool:
    """Lends connections. A slot is held from the moment a connection is wanted until it is gone, the last goodbye included."""

    def __init__(self, route: SmtpRoute, connect: Callable[[], Awaitable[Connection]]) -> None:
        """`connect` opens a session, or raises NoSession."""
        self._route = route
        self._connect = connect
        self._slots = route.connections
        self._idle: list[Connection] = []  # the last used last: the others get to expire
        self._open: set[Connection] = set()
        # In turn; each gets a connection to use, or None: a slot to open one in.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closing = False
        self._all_free = asyncio.Event()
        self._all_free.set()
        self._ticker: asyncio.TimerHandle | None = None
        shortest = min(route.idle_seconds, route.command_seconds, route.data_seconds, route.dot_seconds)
        self._tick_seconds = max(0.02, min(1.0, shortest / 4))

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def take(self) -> Connection:
        """A connection that is ready for a transaction; give it back in any case. Raises NoSession."""
        while not self._closing:
            connection = self._idle.pop() if self._idle else await self._next_free()
            if connection.usable and not self._closing:  # it may have died on the way to us
                return connection
            self.give_back(connection)
        raise NoSession(CLOSING, "")

    def give_back(self, connection: Connection) -> None:
        if not connection.usable:
            return  # its slot comes back, or came back, when it is gone
        if self._closing or connection.messages >= self._route.messages_per_connection:
            connection.quit()
        elif waiter := self._next_waiter():
            waiter.set_result(connection)
        else:
            self._rest(connection)

    def drop_idle(self) -> None:
        """Part with the idle connections: one of their kind turned out to be dead."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.quit()

    async def close(self, grace: float) -> None:
        """Refuse new work, say goodbye, and after `grace` seconds break off what is still under way."""
        self._closing = True
        self.drop_idle()
        while waiter := self._next_waiter():
            waiter.set_exception(NoSession(CLOSING, ""))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._all_free.wait()
        for connection in list(self._open):
            connection.give_up("was broken off by us: the service is stopping")

    # --- slots ---

    async def _next_free(self) -> Connection:
        """Open a connection if a slot is free, or wait in line for one or the other."""
        if self._slots > 0:
            self._slots -= 1
            self._all_free.clear()
        elif connection := await self._in_line():
            return connection
        return await self._open_one()

    async def _in_line(self) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._pass_on(waiter)
            raise

    def _pass_on(self, waiter: asyncio.Future[Connection | None]) -> None:
        """Its task was cancelled; if something had just been given to it, the next in line gets that."""
        if not waiter.done():
            waiter.cancel()
        if waiter.cancelled() or waiter.exception() is not None:
            return
        if connection := waiter.result():
            self.give_back(connection)
        else:
            self._free_slot()

    async def _open_one(self) -> Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._free_slot()
            raise
        self._open.add(connection)
        connection.on_gone = self._forget
        if self._ticker is None:
            self._tick()
        return connection

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()

    def _free_slot(self) -> None:
        if waiter := self._next_waiter():
            waiter.set_result(None)
        else:
            self._slots += 1
            if self._slots == self._route.connections:
                self._all_free.set()

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    # --- time ---

    def _rest(self, connection: Connection) -> None:
        connection.deadline = asyncio.get_running_loop().time() + self._route.idle_seconds
        self._idle.append(connection)

    def _tick(self) -> None:
        """Look at every deadline; goes on by itself while there are connections."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [late for late in self._open if late.deadline <= now]:
            if connection in self._idle:
                self._idle.remove(connection)
            connection.expire()
        self._ticker = loop.call_later(self._tick_seconds, self._tick) if self._open else None
