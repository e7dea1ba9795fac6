"""What the service centre tells us: the number that it has given a case, its state, a comment. Signed with the secret of the
webhook that it is told by, as Standard Webhooks has it, and done once however often it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ombud.campaigns.cases import Case, CaseState, comment, find_case, first_time_heard
from ombud.campaigns.centre import follow
from ombud.campaigns.choosing import ServiceCentre
from ombud.db import Transaction
from ombud.errors import BadField, BadHookSignature, NotFound
from ombud.notices.webhooks import load_webhooks, verified
from ombud.seal import Seal

#: A signature older than this is not taken; so long at least a telling is remembered, and much longer.
FRESH = timedelta(minutes=5)
REMEMBERED = timedelta(days=2)
LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing that the service centre tells."""

    id: str  # the same when it is told again
    case: str  # our reference, or the number that we know already
    number: str = ""
    state: CaseState | None = None
    comment: str = ""
    by: str = "service centre"


@dataclass(frozen=True, slots=True)
class Heard:
    case: Case  # as it is now
    repeated: bool  # it was told before: nothing was done


def check_signature(
    tx: Transaction, seal: Seal, centre: ServiceCentre, headers: Mapping[str, str], body: bytes, wall: datetime
) -> str:
    """See that the service centre has said this, and now (`wall` is the real time). Returns the telling's id.

    Raises NotFound where no service centre is set up, BadHookSignature, BadField for an id that is too long.
    """
    webhook = load_webhooks(tx, seal).get(centre.webhook) if centre.webhook else None
    if webhook is None:
        raise NotFound(kind="hook", name="cases")
    if not verified(webhook.secret, headers, body, wall, FRESH.total_seconds()):
        raise BadHookSignature(minutes=int(FRESH.total_seconds() // 60))
    telling = next(value for name, value in headers.items() if name.lower() == "webhook-id")
    if len(telling) > LONGEST_ID:
        raise BadField(field="webhook-id", reason=f"it must have at most {LONGEST_ID} characters")
    return telling


def hear(tx: Transaction, telling: Telling, now: datetime) -> Heard:
    """Do what a telling says, once. Raises NotFound for a case that is not here, CaseNumberTaken, BadField."""
    case = find_case(tx, telling.case)
    if not first_time_heard(tx, telling.id):
        return Heard(case, repeated=True)
    follow(tx, case, telling.number, telling.state, telling.by, now)
    if telling.comment.strip():
        comment(tx, case, telling.comment, telling.by, now)
    return Heard(find_case(tx, case.reference), repeated=False)
