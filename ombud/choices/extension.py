"""More time for one customer: an extension, an exemption, or reserve mode. Asked by one, approved by another; it ends by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class ExtensionKind(StrEnum):
    EXTENSION = "extension"  # the stop comes later
    EXEMPTION = "exemption"  # the customer need not choose; the stop comes later all the same
    RESERVE = (
        "reserve"  # mail leaves from the vendor's own domain, with the customer as Reply-To and in the display name
    )


class ExtensionState(StrEnum):
    ASKED = "asked"  # waits for another person's approval
    IN_FORCE = "in_force"
    OVER = "over"  # its last day has passed
    ENDED = "ended"  # taken back before that
    DENIED = "denied"  # ended before anyone approved it


@dataclass(frozen=True, slots=True)
class Extension:
    id: int
    campaign_id: int
    customer_id: int
    kind: ExtensionKind
    until: date  # the last day, in the campaign's zone
    ends_at: datetime  # the first moment after it
    reason_code: str
    reason: str
    asked_by: str
    asked_at: datetime
    approved_by: str = ""
    approved_at: datetime | None = None
    ended_by: str = ""
    ended_at: datetime | None = None  # earlier than `until`, by a person
    ended_why: str = ""

    def in_force(self, now: datetime) -> bool:
        return self.state(now) is ExtensionState.IN_FORCE

    def state(self, now: datetime) -> ExtensionState:
        """What it is at `now`; also right for a moment that has passed."""
        if self.ended_at and now >= self.ended_at:
            return ExtensionState.ENDED if self.approved_at else ExtensionState.DENIED
        if now >= self.ends_at:
            return ExtensionState.OVER
        return ExtensionState.IN_FORCE if self.approved_at and now >= self.approved_at else ExtensionState.ASKED
