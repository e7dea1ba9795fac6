"""The queue: holds accepted messages until each recipient is delivered, refused or given up. Owns message, recipient, attempt, event."""

from ombud.queue.find import (
    Count,
    Event,
    Filter,
    Happening,
    MessageView,
    RecipientView,
    Scope,
    content,
    count,
    event_before_last,
    events_after,
    get_message,
    list_messages,
    recipient_ids,
    tally,
    timeline,
)  # fmt: skip
from ombud.queue.lease import Lease, Mail, beat, fetch, lease, recover, routes_with_mail
from ombud.queue.put import NewMessage, NewRecipient, put
from ombud.queue.settle import EVENTS, Attempt, Change, Changed, change_all, commit_sending
from ombud.queue.states import TABLE, State, What, after
from ombud.queue.tables import Stream, customer_of, lane_of

__all__ = [
    "EVENTS", "TABLE", "Attempt", "Change", "Changed", "Count", "Event", "Filter", "Happening", "Lease", "Mail",
    "MessageView", "NewMessage", "NewRecipient", "RecipientView", "Scope", "State", "Stream", "What", "after", "beat",
    "change_all", "commit_sending", "content", "count", "customer_of", "event_before_last",
    "events_after", "fetch", "get_message", "lane_of", "lease", "list_messages", "put", "recipient_ids",
    "recover", "routes_with_mail", "tally", "timeline",
]  # fmt: skip
