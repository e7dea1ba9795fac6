"""What a provider is: one way to get mail out, and what became of each recipient.

A provider knows the other side's protocol and words; nothing of the queue, customers or money. Whether an answer is permanent
or passing, and whether the route or the mail is to blame, is decided in one place: `judge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from ombud.mail.address import Address
from ombud.mail.records import Record
from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Gives a host name's IP addresses, in the order to try them; [] when it has none, OSError when nobody knows."""

Commit = Callable[[], Awaitable[bool]]


class Result(StrEnum):
    """What one attempt at one recipient led to."""

    DELIVERED = "delivered"  # the other side has taken responsibility
    DEFERRED = "deferred"  # not now: certainly not delivered, safe to send again
    FAILED = "failed"  # no: certainly not delivered, and the same again gets the same answer
    UNKNOWN = "unknown"  # we sent the final dot and never learned the answer: only here can a duplicate arise


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient. `reply` holds the other side's words verbatim, or ours where it gave none."""

    result: Result
    reply: Reply
    remote: str = ""  # "host[ip]:port"; "" when no connection came about
    # The route, not this recipient or mail, is to blame: what the circuit breaker counts.
    route_fault: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it leaves, for recipients that share a route. The gate has passed `content`: CRLF only, no NUL."""

    mail_from: Address | None  # None: the null sender <>
    recipients: tuple[Address, ...]
    content: bytes  # final and signed
    needs_utf8: bool = False  # its header holds raw UTF-8 (RFC 6532), so that every hop must offer SMTPUTF8


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every provider is given of the world: how to look up hosts, and the name by which the service introduces itself."""

    resolve: Resolve
    hello: str = "localhost"


# What a recipient still open gets when `commit` said no: certainly not delivered, and nobody is to blame.
LEASE_LOST = Answer(
    Stage.OURS, Reply(451, "4.3.0", "broken off before the point of no return: the lease on it was lost")
)


class Provider(Protocol):
    """One configured way out. Safe to use from many tasks of one event loop at once."""

    @property
    def recipients_per_message(self) -> int:
        """The most recipients that one `send` takes; whoever groups them keeps to it."""
        ...

    @property
    def concurrency(self) -> int:
        """How many sends can be under way at once; more only wait for their turn, first come first served."""
        ...

    @classmethod
    def make(cls, settings: Mapping[str, object], password: str, around: Surroundings) -> Self:
        """Build it of a route's settings; no I/O on the network. Raises BadField for a wrong or unknown setting."""
        ...

    @classmethod
    def records(cls, domain: str, settings: Mapping[str, object]) -> Sequence[Record]:
        """What must stand in a sender domain's DNS for mail by a route of these settings to be authenticated, beside what Ombud's
        own signature needs. Pure. Raises BadField."""
        ...

    async def send(self, outgoing: Outgoing, commit: Commit) -> list[Outcome]:
        """Send to every recipient: always one Outcome each, in order; never raises for what the network or the other side did.

        `commit` is awaited at most once, immediately before the point of no return (the final dot, the HTTP POST), and not at
        all if it does not come to that. True: go on. False: break off; nothing is delivered and what was still open is DEFERRED.
        If `commit` raises, or the task is cancelled, the connection is broken off too, and the exception passes through.
        """
        ...

    async def close(self) -> None:
        """Say goodbye to the other side. What is still under way gets a short while, then is broken off."""
        ...


# RFC 4954 6, RFC 3207 4: log in (better), or encrypt. Whoever set up the route must act; no mail is to blame.
_SETUP_CODES = frozenset({454, 530, 534, 535, 538})
# The stages that are about one mail. A refusal at any other hits every mail alike, so it never fails one.
_OF_A_MAIL = frozenset({Stage.OURS, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.DOT})


def judge(answer: Answer, remote: str) -> Outcome:
    """Decide what an answer means for its recipient. The one place that tells permanent from passing from unknown."""
    result = _result(answer)
    return Outcome(result, answer.reply, remote, result is not Result.DELIVERED and _blames_route(answer))


def _result(answer: Answer) -> Result:
    stage, reply = answer.stage, answer.reply
    if not answer.heard:
        return Result.UNKNOWN if stage is Stage.DOT else Result.DEFERRED
    if reply.code < 400:
        # A yes counts only as the answer to the final dot (RFC 5321 4.2.5); anywhere else the talk is out of step.
        return Result.DELIVERED if stage is Stage.DOT else Result.DEFERRED
    if reply.passing or stage not in _OF_A_MAIL or reply.code in _SETUP_CODES or _too_many_recipients(answer):
        return Result.DEFERRED
    return Result.FAILED


def _too_many_recipients(answer: Answer) -> bool:
    """RFC 5321 4.5.3.1.10: some answer 552 to one RCPT too many; it means 452. With 5.2.2 it is a full mailbox, and a no."""
    return answer.stage is Stage.RCPT and answer.reply.code == 552 and answer.reply.enhanced in ("", "5.5.3")


def _blames_route(answer: Answer) -> bool:
    reply = answer.reply
    if answer.stage is Stage.OURS:
        return False
    # RFC 3463 3.4: x.3.y is the other mail system's own state (full, shutting down, not accepting); 421: it is leaving.
    ill = reply.code == 421 or (reply.passing and reply.enhanced.startswith("4.3."))
    return not answer.heard or answer.stage not in _OF_A_MAIL or reply.code in _SETUP_CODES or ill or reply.code < 400
