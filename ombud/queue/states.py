"""The life of a recipient: its states, what can happen to it, and the one table of what follows from what.

`docs/flow.md` prints the table, the tests are made from it, and no row changes its state but through `after`.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    WAITING = "waiting"  # due now or later; nobody works on it
    LEASED = "leased"  # a worker has it; if the worker is lost, it is WAITING again
    SENDING = "sending"  # the final dot, or the POST, is about to go or has gone: the point of no return
    DEFERRED = "deferred"  # the other side said "not now"; due again later
    UNKNOWN = "unknown"  # the answer to the final dot was lost: it may have been delivered
    HELD = "held"  # kept until a person, or a change of what is decided, releases it, or it has been kept for too long
    DELIVERED = "delivered"  # handed over; the next hop has answered for it
    FAILED = "failed"  # refused for good
    EXPIRED = "expired"  # not reached in the time there was
    CANCELLED = "cancelled"  # taken back before it left
    SUPPRESSED = "suppressed"  # the address is not to be sent to
    QUARANTINED = "quarantined"  # workers have died over it four times, twice with no other suspect in hand; an operator must look

    @property
    def final(self) -> bool:
        """Final states never change."""
        return self in _FINAL


_FINAL = {State.DELIVERED, State.FAILED, State.EXPIRED, State.CANCELLED, State.SUPPRESSED}


class What(StrEnum):
    """What can happen to a recipient."""

    LEASE = "lease"  # a worker takes it
    GIVE_BACK = "give back"  # the worker could not use it now (its route is full, paused or changed)
    COMMIT = "commit"  # the worker is about to send the final dot
    DELIVER = "deliver"  # the next hop said yes
    DEFER = "defer"  # the next hop said not now, or could not be reached
    FAIL = "fail"  # the next hop said no
    LOSE = "lose"  # the answer to the final dot was lost, or the worker was, after the point of no return
    EXPIRE = "expire"  # deferred once more, and the time is up; or held for as long as it may be
    HOLD = "hold"  # it is to be kept: an operator says so, or no way is open for it
    RELEASE = "release"  # it may go on
    RETRY = "retry"  # it is to be tried now: by an operator's word, or by a new way; what was unknown stays so
    CANCEL = "cancel"  # whoever sent it wants it back
    SUPPRESS = "suppress"  # its address is found not to be sent to
    ABANDON = "abandon"  # the worker was lost before the point of no return
    QUARANTINE = "quarantine"  # ... for the fourth time


_IN_HAND = (State.LEASED, State.SENDING)
# A worker that was thought lost may yet bring its answer: late knowledge turns UNKNOWN into what it was.
_ANSWERED_FROM = (*_IN_HAND, State.UNKNOWN)
_IDLE = (State.WAITING, State.DEFERRED, State.UNKNOWN)

TABLE: dict[tuple[State, What], State] = {
    **{(state, What.LEASE): State.LEASED for state in _IDLE},
    (State.LEASED, What.GIVE_BACK): State.WAITING,
    (State.LEASED, What.COMMIT): State.SENDING,
    **{(state, What.DELIVER): State.DELIVERED for state in _ANSWERED_FROM},
    **{(state, What.DEFER): State.DEFERRED for state in _ANSWERED_FROM},
    **{(state, What.FAIL): State.FAILED for state in _ANSWERED_FROM},
    **{(state, What.EXPIRE): State.EXPIRED for state in (*_ANSWERED_FROM, State.HELD)},
    (State.SENDING, What.LOSE): State.UNKNOWN,
    (State.LEASED, What.ABANDON): State.WAITING,
    (State.LEASED, What.QUARANTINE): State.QUARANTINED,
    **{(state, What.HOLD): State.HELD for state in (*_IDLE, State.LEASED)},
    # It keeps its state, and with UNKNOWN the label that the next try may make a second copy.
    **{(state, What.RETRY): state for state in _IDLE},
    **{(state, What.CANCEL): State.CANCELLED for state in (*_IDLE, State.HELD, State.QUARANTINED)},
    **{(state, What.SUPPRESS): State.SUPPRESSED for state in (State.WAITING, State.DEFERRED, State.HELD, State.LEASED)},
    **{(state, What.RELEASE): State.WAITING for state in (State.HELD, State.QUARANTINED)},
}


def after(state: State, what: What) -> State | None:
    """The state that follows, or None: it cannot happen to a recipient in that state, and changes nothing."""
    return TABLE.get((state, what))
