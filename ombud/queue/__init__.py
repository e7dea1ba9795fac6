"""The queue: holds accepted messages until each recipient is delivered, refused or given up. Owns message, recipient, attempt, event, hold."""

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
from ombud.queue.forget import bodies_to_forget, forget_bodies
from ombud.queue.hold import Fate, Held, fate_of_held, held, held_ids, prolong
from ombud.queue.lease import (
    Lease,
    Mail,
    Queued,
    beat,
    customers_with_mail,
    fetch,
    lease,
    lease_suspect,
    queued,
    recover,
    routes_with_mail,
    suspects_wait,
)  # fmt: skip
from ombud.queue.origin import Origin
from ombud.queue.put import NewMessage, NewRecipient, put
from ombud.queue.senders import senders_since
from ombud.queue.settle import EVENTS, Attempt, Change, Changed, change_all, commit_sending
from ombud.queue.states import TABLE, State, What, after
from ombud.queue.tables import Stream, customer_of, is_bulk, is_important, lane_of

__all__ = [
    "EVENTS", "TABLE", "Attempt", "Change", "Changed", "Count", "Event", "Fate", "Filter", "Happening", "Held", "Lease", "Mail",
    "MessageView", "NewMessage", "NewRecipient", "Origin", "Queued", "RecipientView", "Scope", "State", "Stream", "What", "after", "beat",
    "bodies_to_forget",    "change_all", "commit_sending", "content", "count", "customer_of", "customers_with_mail", "event_before_last",
    "events_after", "fate_of_held", "fetch", "forget_bodies", "get_message", "held", "held_ids", "is_bulk", "is_important", "lane_of", "lease",
    "lease_suspect", "list_messages", "prolong", "put", "queued", "recipient_ids",
    "recover", "routes_with_mail", "senders_since", "suspects_wait", "tally", "timeline",
]  # fmt: skip
