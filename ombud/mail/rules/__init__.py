"""What the great receivers ask of senders, as code: the table of rules, and those that a message shows by itself."""

from ombud.mail.rules.message import Read, Signature, check_message, read
from ombud.mail.rules.table import (
    BULK,
    RULES,
    Applies,
    Judged,
    Kind,
    Receiver,
    Rule,
    Verdict,
    is_consumer,
    judged,
    receiver_of,
    skipped,
)

__all__ = [
    "BULK", "RULES", "Applies", "Judged", "Kind", "Read", "Receiver", "Rule", "Signature", "Verdict", "check_message",
    "is_consumer", "judged", "read", "receiver_of", "skipped",
]  # fmt: skip
