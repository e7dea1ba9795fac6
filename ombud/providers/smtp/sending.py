"""The provider `smtp`: hands mail to one SMTP server over reused, pipelined, encrypted connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from ombud.errors import BadField
from ombud.mail.records import Record
from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.mail.smtp.client import Dialogue, StartTls
from ombud.providers.provider import Commit, Outcome, Outgoing, Resolve, Surroundings, judge
from ombud.providers.smtp.connection import Connection, NoSession, tls_failed
from ombud.providers.smtp.pool import Pool
from ombud.providers.smtp.records import records_of
from ombud.providers.smtp.route import SmtpRoute, Tls

CLOSE_SECONDS = 10.0
STALE_TRIES = 3

_STARTTLS = {
    Tls.REQUIRED: StartTls.REQUIRED,
    Tls.REQUIRED_UNVERIFIED: StartTls.REQUIRED,
    Tls.OPPORTUNISTIC: StartTls.OFFERED,
    Tls.IMPLICIT: StartTls.NEVER,
    Tls.NONE: StartTls.NEVER,
}


@dataclass(slots=True)
class Counts:
    """What has happened on a route since the start of the process; for the metrics."""

    connections: int = 0  # sessions opened
    connections_failed: int = 0  # that never got as far as mail
    messages: int = 0  # transactions that ran to an answer
    stale: int = 0  # reused connections that turned out to be dead; the message went over another at once
    delivered: int = 0  # recipients taken over by the server


class Smtp:
    """Sends by SMTP to one configured server (RFC 5321, 6409, 8314, 3207, 4954, 2920, 1870, 6152, 6531)."""

    def __init__(self, route: SmtpRoute, around: Surroundings) -> None:
        """Raises BadField if the CA file cannot be read."""
        self.route = route
        self.counts = Counts()
        self.pool = Pool(route, self._connect)
        self._resolve: Resolve = around.resolve
        self._hello = route.hello or around.hello
        self._context = _tls_context(route)

    @classmethod
    def make(cls, settings: Mapping[str, object], password: str, around: Surroundings) -> Self:
        return cls(SmtpRoute.from_dict(settings, password), around)

    @classmethod
    def records(cls, domain: str, settings: Mapping[str, object]) -> Sequence[Record]:
        return records_of(SmtpRoute.of_settings(settings), domain)

    @property
    def recipients_per_message(self) -> int:
        return self.route.recipients_per_message

    @property
    def concurrency(self) -> int:
        return self.route.connections

    async def send(self, outgoing: Outgoing, commit: Commit) -> list[Outcome]:
        if len(outgoing.recipients) > self.route.recipients_per_message:
            raise ValueError(f"{len(outgoing.recipients)} recipients in one message; this route takes fewer")
        try:
            answers, remote = await self._send_once(outgoing, commit)
        except NoSession as failure:
            return [judge(failure.answer, failure.remote)] * len(outgoing.recipients)
        outcomes = [judge(answer, remote) for answer in answers]
        self.counts.messages += 1
        self.counts.delivered += sum(answer.stage is Stage.DOT and answer.reply.ok for answer in answers)
        return outcomes

    async def close(self) -> None:
        await self.pool.close(CLOSE_SECONDS)

    async def _send_once(self, outgoing: Outgoing, commit: Commit) -> tuple[Sequence[Answer], str]:
        """Send over the next free connection; over another at once if a reused one was dead before it heard of this mail."""
        for left in reversed(range(STALE_TRIES)):
            connection = await self.pool.take()
            reused = connection.messages > 0
            try:
                answers = await connection.transact(outgoing, commit)
            finally:
                self.pool.give_back(connection)
            if not (left and reused and _was_stale(answers)):
                break
            self.counts.stale += 1
            self.pool.drop_idle()
        return answers, connection.remote

    # --- opening a session ---

    async def _connect(self) -> Connection:
        """A session with the first of the host's addresses that gives one. Raises NoSession."""
        try:
            connection = await self._try_addresses()
        except NoSession:
            self.counts.connections_failed += 1
            raise
        self.counts.connections += 1
        return connection

    async def _try_addresses(self) -> Connection:
        failure = NoSession(_nowhere("4.4.4", f"the host {self.route.host} has no address"), self._remote(""))
        for address in await self._addresses():
            try:
                return await self._open(address)
            except NoSession as error:
                failure = error
                # RFC 5321 5.1: another address may do better; but not at a password or certificate that is refused.
                if error.answer.stage in (Stage.TLS, Stage.AUTH):
                    break
        raise failure

    async def _addresses(self) -> Sequence[str]:
        host = self.route.host
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            return await self._resolve(host)
        except OSError as error:
            answer = _nowhere("4.4.3", f"the host {host} could not be looked up: {error}")
            raise NoSession(answer, self._remote("")) from error

    async def _open(self, address: str) -> Connection:
        self._may_speak_clear(address)
        connection = Connection(self.route, self._dialogue(), self._remote(address))
        implicit = self._context if self.route.tls is Tls.IMPLICIT else None
        try:
            async with asyncio.timeout(self.route.connect_seconds):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    address,
                    self.route.port,
                    ssl=implicit,
                    server_hostname=self.route.host if implicit else None,
                    local_addr=(self.route.bind, 0) if self.route.bind else None,
                )
        except ssl.SSLError as error:
            raise NoSession(tls_failed(error), connection.remote) from error
        except OSError as error:  # TimeoutError is one
            why = str(error) or f"no answer within {self.route.connect_seconds:g} s"
            raise NoSession(_nowhere("4.4.1", f"no connection to the server: {why}"), connection.remote) from error
        await connection.open_session(self._context)
        return connection

    def _may_speak_clear(self, address: str) -> None:
        """A route without TLS ends on this machine unless someone has said otherwise, whatever its host resolves to today."""
        route = self.route
        if route.tls is Tls.NONE and not route.allow_clear and not ip_address(address).is_loopback:
            text = 'tls = "none" goes only to this machine; set allow_clear if it must go beyond'
            raise NoSession(Answer(Stage.TLS, Reply(451, "4.7.5", text), heard=False), self._remote(address))

    def _dialogue(self) -> Dialogue:
        tls = self.route.tls
        clear_login = tls in (Tls.IMPLICIT, Tls.NONE)
        return Dialogue(self._hello, starttls=_STARTTLS[tls], login=self.route.login, clear_login=clear_login)

    def _remote(self, address: str) -> str:
        return f"{self.route.host}[{address}]:{self.route.port}"


def _was_stale(answers: Sequence[Answer]) -> bool:
    """Whether the server had closed before the first command reached it: it has heard nothing of this mail (RFC 5321 3.8)."""
    asked = [answer for answer in answers if answer.stage is not Stage.OURS]
    return bool(asked) and all(
        answer.stage in (Stage.RESET, Stage.MAIL) and (not answer.heard or answer.reply.code == 421) for answer in asked
    )


def _nowhere(enhanced: str, text: str) -> Answer:
    return Answer(Stage.CONNECT, Reply(451, enhanced, text), heard=False)


def _tls_context(route: SmtpRoute) -> ssl.SSLContext | None:
    if route.tls is Tls.NONE:
        return None
    try:
        context = ssl.create_default_context(cafile=route.ca_file or None)
    except OSError as error:
        raise BadField(field="ca_file", reason=f"no authorities can be read from {route.ca_file}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 deprecates what is older
    if route.tls in (Tls.REQUIRED_UNVERIFIED, Tls.OPPORTUNISTIC):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
