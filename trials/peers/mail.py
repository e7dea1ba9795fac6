"""The mail that every client sends, and the judge of what arrived."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import dkim

TEXT = "Hej Åsa!\r\n\r\nHär är hyresavin för maj. Ägaren önskar betalning senast på lördag.\r\n\r\n.\r\n.. en rad som börjar med punkter\r\n"
ATTACHMENT = b"%PDF-1.4\n" + bytes(range(256)) * 40
NAME, PLAIN_NAME = "hyresavi-lägenhet-Ö7.pdf", "hyresavi.pdf"


@dataclass(frozen=True)
class Mail:
    """One mail. `token` is what it is known by: it stands in the recipient's address, which no client encodes."""

    token: str
    sender: str
    name: str = NAME

    @property
    def to(self) -> str:
        return f"{self.token}@tenant.example"

    @property
    def subject(self) -> str:
        # Fits into one encoded word: between two of them Python's own package loses the space.
        return "Hyresavi för maj, lägenhet Ö7"

    def as_bytes(self, line_end: str = "\r\n") -> bytes:
        """For clients that send what they are given. Python's own e-mail package writes it, as many products do."""
        message = EmailMessage(policy=email.policy.SMTP.clone(linesep=line_end))
        message["From"], message["To"], message["Subject"] = self.sender, self.to, self.subject
        message.set_content(TEXT.replace("\r\n", "\n"), cte="quoted-printable")
        message.add_attachment(ATTACHMENT, maintype="application", subtype="pdf", filename=self.name)
        return message.as_bytes()


def fault(found: Path, mail: Mail, record: bytes) -> str:
    """What is wrong with what arrived; "" when it is the mail, whole, and signed. `record`: the domain's DKIM record."""
    content = found.read_bytes()
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    if message["Subject"] != mail.subject:
        return f"the subject became {message['Subject']!r}"
    body = message.get_body()
    if body is None or _lines(body.get_content()) != _lines(TEXT):
        return "the text was changed"
    files = [(part.get_filename(), part.get_content()) for part in message.iter_attachments()]
    if files != [(mail.name, ATTACHMENT)]:
        return f"the attachment was changed: {[name for name, _ in files]}"
    if not dkim.verify(content, dnsfunc=lambda _name, timeout=5: record):
        return "the DKIM signature does not hold"
    return ""


def _lines(text: str) -> list[str]:
    return text.rstrip().splitlines()
