"""From a queued message to the bytes that leave: made out to the recipient, signed, and let through the gate once more.

Runs in threads: hashing and RSA let the interpreter go, so signing uses every core while the event loop talks to servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ombud.domains import KeyRing, Ownership
from ombud.errors import OmbudError
from ombud.mail import dkim, personal
from ombud.mail.address import Address, Mailbox, parse_address
from ombud.mail.compose import mailbox_field
from ombud.mail.message import examine, header_values, with_headers, without_headers
from ombud.providers.provider import Outgoing
from ombud.queue import Lease, Mail

#: What our own fields may add to the largest message that is taken in: traces, and a signature or two.
ROOM_FOR_OURS = 16 * 1024


class NoKey(OmbudError):
    """The route signs, but {domain} has no key."""

    code = "no_signing_key"
    sv = "Vägen signerar, men {domain} har ingen nyckel."


@dataclass(frozen=True, slots=True)
class Reserve:
    """Reserve mode: the mail leaves in the vendor's name, on behalf of a customer. It is never done without being shown."""

    address: str  # the vendor's
    customer: str  # its name, for the display name
    slug: str


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be prepared: one message for those of its recipients that go together."""

    mail: Mail
    content: bytes
    leases: Sequence[Lease]
    sign: bool
    max_size: int
    reserve: Reserve | None = None
    return_path: str = ""  # the envelope's subdomain of the sender's domain; "": it stays as it came


def prepare(job: Job, ownership: Ownership, ring: KeyRing) -> Outgoing:
    """The message as it leaves. Deterministic: a second try sends the same bytes (while the keys are the same).

    Raises NoKey when it must be signed and cannot be, BadMessage when the gate stops it.
    """
    content = _made_out(job) if job.mail.personal else job.content
    mail_from, sender = job.mail.mail_from, parse_address(job.mail.header_from)
    if job.reserve:
        content = _in_the_vendors_name(content, job)
        mail_from, sender = job.reserve.address, parse_address(job.reserve.address)
    if job.sign or (job.reserve and ring.of(sender.domain)):
        content = _signed(content, sender.domain, job.mail.created_at, ownership, ring)
    # The last gate: whatever happened to the bytes since they came in, nothing that the gate refuses reaches the wire.
    examine(content, job.max_size + ROOM_FOR_OURS)
    return Outgoing(
        mail_from=_envelope(mail_from, job, ownership),
        recipients=tuple(parse_address(lease.address) for lease in job.leases),
        content=content,
        needs_utf8=job.mail.needs_utf8,
    )


def _envelope(mail_from: str, job: Job, ownership: Ownership) -> Address | None:
    """Who gets the bounces, and whose SPF is judged (RFC 7208 2.4): at the return path's subdomain of the proved domain, if the
    route has one; its CNAME leads bounces back."""
    if not mail_from:
        return None
    address = parse_address(mail_from)
    owned = ownership.owner(address.domain) if job.return_path and not job.reserve else None
    return Address(address.local, f"{job.return_path}.{owned.name}") if owned else address


def _made_out(job: Job) -> bytes:
    (lease,) = job.leases  # a personal copy is for one
    values = dict(lease.variables or {})
    to = Mailbox(values.pop(personal.NAME, ""), parse_address(lease.address))
    local, _, host = job.mail.message_id.partition("@")
    message_id = f"<{local}-{lease.n}@{host}>"
    return personal.make_out(job.content, to, values, message_id=message_id, date=job.mail.created_at)


#: Who the mail is from, and what vouches for that: in reserve mode nothing of it may name the customer's domain any more.
_THEIRS = ("From", "Sender", "Resent-*", "DKIM-Signature", "DomainKey-Signature", "X-Ombud-Reserve")
_NOT_IN_NAMES = str.maketrans("", "", "<>")


def _in_the_vendors_name(content: bytes, job: Job) -> bytes:
    """From the vendor's own domain, with the customer in the display name and as Reply-To; X-Ombud-Reserve says so."""
    assert job.reserve
    customer = examine(content, job.max_size + ROOM_FOR_OURS).from_
    ours = Mailbox(job.reserve.customer.translate(_NOT_IN_NAMES), parse_address(job.reserve.address))
    fields = [mailbox_field("From", ours)]
    if not header_values(content, "Reply-To"):
        fields.append(mailbox_field("Reply-To", customer))
    return b"".join([*fields, with_headers(without_headers(content, _THEIRS), [("X-Ombud-Reserve", job.reserve.slug)])])


def _signed(content: bytes, domain: str, at: datetime, ownership: Ownership, ring: KeyRing) -> bytes:
    """With a signature of each of the domain's keys on top: d= is the From domain, or the proved domain above it."""
    owned = ownership.owner(domain)
    keys = ring.of(domain) or (ring.of(owned.name) if owned else ())
    if not keys:
        raise NoKey(domain=domain)
    return dkim.sign(content, keys, at) + content
