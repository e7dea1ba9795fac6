"""One mail transaction: the envelope's commands, fitted to what the server offers, and what each recipient has been answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ombud.mail.address import Address
from ombud.mail.reply import Reply
from ombud.mail.smtp.answer import Answer, Stage
from ombud.mail.smtp.capabilities import Capabilities

MAX_PATH = 254  # RFC 5321 4.5.3.1.3: 256 with the angle brackets

# What could end a path early, or hide in one. Quoted local parts, where some of it is legal, are never sent.
_UNSAFE = re.compile(r'[\x00-\x20<>"\\\x7f-\xa0\u2028\u2029]')


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail transaction needs to know of a message."""

    mail_from: Address | None
    recipients: tuple[Address, ...]
    size: int
    has_8bit: bool = False
    needs_utf8: bool = False  # raw UTF-8 in the header; addresses are looked at one by one


class Transaction:
    """One envelope under way: its commands, and the answer each recipient has got so far."""

    __slots__ = ("accepted", "answers", "asked", "mail", "rcpts", "replied")

    def __init__(self, answers: list[Answer | None], asked: list[int], mail: bytes, rcpts: list[bytes]) -> None:
        self.answers = answers  # by recipient; None while open
        self.asked = asked  # the recipients that RCPT names, by their place in the envelope
        self.mail = mail
        self.rcpts = rcpts
        self.replied = 0
        self.accepted = 0

    @classmethod
    def of(cls, envelope: Envelope, offer: Capabilities) -> Transaction:
        everyone = _unfit_for_all(envelope, offer)
        answers = [everyone or _unfit_recipient(recipient, offer) for recipient in envelope.recipients]
        asked = [place for place, answer in enumerate(answers) if answer is None]
        named = [envelope.recipients[place] for place in asked]
        return cls(
            answers, asked, _mail_command(envelope, named, offer), [b"RCPT TO:<%b>\r\n" % _wire(r) for r in named]
        )

    def rcpt_answered(self, reply: Reply) -> None:
        place = self.asked[self.replied]
        self.replied += 1
        if self.answers[place] is not None:
            return  # MAIL was refused: that answer says more than the "bad sequence" that follows it
        if reply.ok:
            self.accepted += 1
        else:
            self.answers[place] = Answer(Stage.RCPT, reply)

    def refuse_rest(self, answer: Answer) -> None:
        """Give everyone who has no answer yet this one."""
        self.answers = [given or answer for given in self.answers]

    def all_answers(self, rest: Answer | None = None) -> tuple[Answer, ...]:
        answers = tuple(given or rest for given in self.answers)
        assert None not in answers
        return tuple(answer for answer in answers if answer is not None)


def _unfit_for_all(envelope: Envelope, offer: Capabilities) -> Answer | None:
    """Why the whole mail cannot go this way; no server needs to be asked."""
    if offer.max_size and envelope.size > offer.max_size:
        # RFC 1870 6.1: do not even try.
        return _ours(552, "5.3.4", f"the message has {envelope.size} bytes, and the server takes {offer.max_size}")
    if envelope.has_8bit and not offer.eight_bit:
        # RFC 6152 3: "must not, under any circumstances"; re-encoding a customer's mail would break its signature.
        return _ours(554, "5.6.3", "the content has 8-bit bytes, and the server does not offer 8BITMIME")
    if envelope.mail_from is not None and (answer := _unfit_address(envelope.mail_from, "5.1.7")):
        return answer
    sender_needs_utf8 = envelope.mail_from is not None and envelope.mail_from.needs_utf8
    if (envelope.needs_utf8 or sender_needs_utf8) and not offer.utf8:
        return _ours(
            554,
            "5.6.7",
            "the header or the sender's address has non-ASCII characters, and the server does not offer SMTPUTF8",
        )
    return None


def _unfit_recipient(recipient: Address, offer: Capabilities) -> Answer | None:
    if recipient.needs_utf8 and not offer.utf8:
        # RFC 6531 3.5: no downgrade of a mailbox name exists.
        return _ours(553, "5.6.7", "the address has non-ASCII characters, and the server does not offer SMTPUTF8")
    return _unfit_address(recipient, "5.1.3")


def _unfit_address(address: Address, enhanced: str) -> Answer | None:
    """The last lock before the wire: no byte that could end the command, whoever made the address."""
    text = str(address)
    if len(text.encode()) <= MAX_PATH and not _UNSAFE.search(text):
        return None
    return _ours(501, enhanced, "the address cannot be written in an SMTP command")


def _ours(code: int, enhanced: str, text: str) -> Answer:
    return Answer(Stage.OURS, Reply(code, enhanced, text))


def _wire(address: Address | None) -> bytes:
    return str(address).encode() if address is not None else b""


def _mail_command(envelope: Envelope, named: Sequence[Address], offer: Capabilities) -> bytes:
    parameters = b" SIZE=%d" % envelope.size if "SIZE" in offer.names else b""  # RFC 1870 6
    if envelope.has_8bit and offer.eight_bit:
        parameters += b" BODY=8BITMIME"  # RFC 6152 2
    if offer.utf8 and _needs_utf8(envelope, named):
        parameters += b" SMTPUTF8"  # RFC 6531 3.4
    return b"MAIL FROM:<%b>%b\r\n" % (_wire(envelope.mail_from), parameters)


def _needs_utf8(envelope: Envelope, named: Sequence[Address]) -> bool:
    addresses = [*named, envelope.mail_from] if envelope.mail_from else named
    return envelope.needs_utf8 or any(address.needs_utf8 for address in addresses)
