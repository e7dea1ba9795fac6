"""From a queued message to the bytes that leave: made out to the recipient, signed, and let through the gate once more.

Runs in threads: hashing and RSA let the interpreter go, so signing uses every core while the event loop talks to servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ombud.domains import KeyRing, Ownership
from ombud.errors import OmbudError
from ombud.mail import dkim, personal
from ombud.mail.address import Address, Mailbox, parse_address
from ombud.mail.message import examine
from ombud.providers.provider import Outgoing
from ombud.queue import Lease, Mail

#: What our own fields may add to the largest message that is taken in: traces, and a signature or two.
ROOM_FOR_OURS = 16 * 1024


class NoKey(OmbudError):
    """The route signs, but {domain} has no key."""

    code = "no_signing_key"
    sv = "Vägen signerar, men {domain} har ingen nyckel."


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be prepared: one message for those of its recipients that go together."""

    mail: Mail
    content: bytes
    leases: Sequence[Lease]
    sign: bool
    max_size: int


def prepare(job: Job, ownership: Ownership, ring: KeyRing) -> Outgoing:
    """The message as it leaves. Deterministic: a second try sends the same bytes (while the keys are the same).

    Raises NoKey when it must be signed and cannot be, BadMessage when the gate stops it.
    """
    content = _made_out(job) if job.mail.personal else job.content
    if job.sign:
        content = _signed(content, job.mail, ownership, ring)
    # The last gate: whatever happened to the bytes since they came in, nothing that the gate refuses reaches the wire.
    examine(content, job.max_size + ROOM_FOR_OURS)
    return Outgoing(
        mail_from=parse_address(job.mail.mail_from) if job.mail.mail_from else None,
        recipients=tuple(parse_address(lease.address) for lease in job.leases),
        content=content,
        needs_utf8=job.mail.needs_utf8,
    )


def _made_out(job: Job) -> bytes:
    (lease,) = job.leases  # a personal copy is for one
    values = dict(lease.variables or {})
    to = Mailbox(values.pop(personal.NAME, ""), parse_address(lease.address))
    local, _, host = job.mail.message_id.partition("@")
    message_id = f"<{local}-{lease.n}@{host}>"
    return personal.make_out(job.content, to, values, message_id=message_id, date=job.mail.created_at)


def _signed(content: bytes, mail: Mail, ownership: Ownership, ring: KeyRing) -> bytes:
    """With a signature of each of the domain's keys on top: d= is the From domain, or the proved domain above it."""
    domain = _address(mail).domain
    owned = ownership.owner(domain)
    keys = ring.of(domain) or (ring.of(owned.name) if owned else ())
    if not keys:
        raise NoKey(domain=domain)
    return dkim.sign(content, keys, mail.created_at) + content


def _address(mail: Mail) -> Address:
    return parse_address(mail.header_from)
