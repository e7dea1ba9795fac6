"""`ombud queue`: what waits, and what is to happen to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from ombud import queue
from ombud.cli.messages import Names, read_id
from ombud.cli.session import F, Group, Session, choice_of, dry_run_option, yes_option
from ombud.db import Transaction
from ombud.errors import WrongState
from ombud.installation import Installation
from ombud.queue import Change, Filter, Scope, State, What, after
from ombud.routing import said

#: Recipients changed in one transaction: the service's own commits wait for no longer than that takes.
_AT_A_TIME = 500
#: More than this at once is more than one command should do; it may be given again.
_MOST = 1_000_000
_LONG = 5_000  # from here on a progress bar is shown


@click.group("queue", cls=Group)
def command() -> None:
    """What waits, and what is to happen to it."""


@command.command()
@click.option("--customer", help="Only this customer's.")
@click.option("--route", help="Only what takes this route.")
@click.option("--state", type=choice_of(State), help="Only what is in this state.")
@click.pass_obj
def show(session: Session, customer: str | None, route: str | None, state: str | None) -> None:
    """Count the recipients by customer, route and state."""
    with session.opened() as installation, installation.database.read() as tx:
        names = Names(tx)
        customer_id, route_id = names.scope(customer, None).customer_id, names.route_id(route)
        rows = [
            {
                "customer": names.customer(one.customer_id),
                "route": names.route(one.route_id),
                "state": one.state,
                "recipients": one.recipients,
            }
            for one in queue.count(tx)
            if customer_id in (None, one.customer_id)
            and route_id in (None, one.route_id)
            and state in (None, one.state)
        ]
    session.show_rows(rows, "customer", "route", "state", "recipients")


@command.command("held")
@click.option("--customer", help="Only this customer's.")
@click.pass_obj
def held_(session: Session, customer: str | None) -> None:
    """Count what is held, by reason, customer, product and sender domain, with since when the first of it."""
    with session.opened() as installation, installation.database.read() as tx:
        names = Names(tx)
        wanted = names.scope(customer, None).customer_id
        rows = [
            {
                "reason": one.reason,
                "meaning": said(one.reason)[session.language],
                "customer": names.customer(one.customer_id),
                "product": names.directory.product_by_id(one.origin.product_id).slug,
                "domain": one.origin.sender_domain,
                "recipients": one.recipients,
                "since": one.since,
            }
            for one in queue.held(tx)
            if wanted in (None, one.customer_id)
        ]
    session.show_rows(
        rows,
        "reason",
        "customer",
        "product",
        "domain",
        "recipients",
        "since",
        "meaning",
        spare=("meaning", "product", "domain"),
    )


# --- changing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which recipients: every part that is given must hold."""

    message: str | None
    customer: str | None
    route: str | None
    state: State | None


def _from(what: What) -> tuple[State, ...]:
    return tuple(state for state in State if after(state, what))


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operator can have happen to recipients, and to those in which states."""

    name: str
    what: What
    reason: str | None  # why it is where it is from then on; None: that does not change
    en: str
    sv: str
    unasked: tuple[State, ...] = ()  # these states are meant when none is named; empty: all that it can happen in

    def states(self, named: State | None) -> list[State]:
        possible = _from(self.what)
        if named:
            return [named] if named in possible else []
        return list(self.unasked or possible)


HOLD = Operation("hold", What.HOLD, "held_by_operator", "Hold {} recipients?", "Håll {} mottagare?")
RELEASE = Operation("release", What.RELEASE, "released_by_operator", "Release {} recipients?", "Släpp {} mottagare?")
CANCEL = Operation(
    "cancel", What.CANCEL, None, "Cancel {} recipients? They will never get it.", "Avbryt {} mottagare? De får det aldrig."
)  # fmt: skip
# Only if asked for: where the answer to the last try was lost the recipient may have it already, and what waits for a moment
# that the sender has chosen is not late.
RETRY = Operation(
    "retry", What.RETRY, None, "Try {} recipients now?", "Försök {} mottagare nu?", unasked=(State.DEFERRED,)
)  # fmt: skip
#: What goes on at once.
_AT_ONCE = {What.RELEASE, What.RETRY}


def _choice(function: F) -> F:
    """The arguments and options by which all four verbs say which recipients are meant."""
    options: list[Callable[[F], F]] = [
        click.argument("message", required=False),
        click.option("--customer", help="Those of this customer."),
        click.option("--route", help="Those that take this route."),
        click.option("--state", type=choice_of(State), help="Those in this state."),
        dry_run_option,
        yes_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command.command()
@_choice
@click.pass_obj
def hold(session: Session, /, dry_run: bool, yes: bool, **choice: Any) -> None:
    """Keep recipients in the queue until they are released.

    Those of MESSAGE (which may be one recipient, `<message>-<n>`), or those that the options choose.
    """
    _operate(session, HOLD, _chosen(**choice), dry_run, yes)


@command.command()
@_choice
@click.pass_obj
def release(session: Session, /, dry_run: bool, yes: bool, **choice: Any) -> None:
    """Let recipients go that are held or quarantined.

    Those of MESSAGE (which may be one recipient, `<message>-<n>`), or those that the options choose.
    """
    _operate(session, RELEASE, _chosen(**choice), dry_run, yes)


@command.command()
@_choice
@click.pass_obj
def cancel(session: Session, /, dry_run: bool, yes: bool, **choice: Any) -> None:
    """Take recipients back that have not been sent to.

    Those of MESSAGE (which may be one recipient, `<message>-<n>`), or those that the options choose.
    """
    _operate(session, CANCEL, _chosen(**choice), dry_run, yes)


@command.command()
@_choice
@click.pass_obj
def retry(session: Session, /, dry_run: bool, yes: bool, **choice: Any) -> None:
    """Try deferred recipients now instead of later.

    Those of MESSAGE (which may be one recipient, `<message>-<n>`), or those that the options choose. With --state unknown: those for whom nobody knows whether the last try came through; they may get it twice. With --state waiting: those that wait for a moment that the sender chose.
    """
    _operate(session, RETRY, _chosen(**choice), dry_run, yes)


def _chosen(message: str | None, customer: str | None, route: str | None, state: str | None) -> Chosen:
    if not (message or customer or route or state):
        raise click.UsageError("Name a message, or choose by --customer, --route or --state.")
    return Chosen(message, customer, route, State(state) if state else None)


def _operate(session: Session, operation: Operation, chosen: Chosen, dry_run: bool, yes: bool) -> None:
    """Find, show how many, ask, change: whoever has left in the meantime is let be."""
    with session.opened() as installation:
        with installation.database.read() as tx:
            ids = _find(tx, operation, chosen)
        if ids and not dry_run:
            count = len(ids)
            # One message by name is what was meant; a choice by other marks may be wider than it was thought to be.
            session.confirm(yes or chosen.message is not None, operation.en.format(count), operation.sv.format(count))
        changed = 0 if dry_run else sum(_change(installation, operation, _with_progress(session, ids)))
    values = {"action": operation.name, "recipients": len(ids), "changed": changed, "dry_run": dry_run}
    en, sv = f"{changed} of {len(ids)} recipients changed.", f"{changed} av {len(ids)} mottagare ändrade."
    if dry_run:
        en, sv = f"{len(ids)} recipients would change.", f"{len(ids)} mottagare skulle ändras."
    session.show_done(values, en, sv)


def _find(tx: Transaction, operation: Operation, chosen: Chosen) -> list[int]:
    """Raises NotFound, and WrongState for one message of which there is nothing to change."""
    names = Names(tx)
    message, n = read_id(chosen.message) if chosen.message else (None, None)
    view = queue.get_message(tx, Scope(), message) if message else None
    wanted = Filter(route_id=names.route_id(chosen.route))
    scope, states = names.scope(chosen.customer, None), operation.states(chosen.state)
    ids = queue.recipient_ids(tx, scope, wanted, message, states, _MOST, n)
    if view and not ids:
        raise WrongState(state=", ".join(sorted({one.state for one in view.recipients if n in (None, one.n)})))
    return ids


def _with_progress(session: Session, ids: Sequence[int]) -> Iterator[Sequence[int]]:
    batches = [ids[start : start + _AT_A_TIME] for start in range(0, len(ids), _AT_A_TIME)]
    if session.as_json or len(ids) < _LONG:
        yield from batches
        return
    with click.progressbar(batches) as bar:
        yield from bar


def _change(installation: Installation, operation: Operation, batches: Iterator[Sequence[int]]) -> Iterator[int]:
    """How many of each batch were changed."""
    what, wait = operation.what, timedelta(0) if operation.what in _AT_ONCE else None
    for batch in batches:
        now = installation.clock.now()
        with installation.database.write() as tx:
            changes = [Change(number, None, what, now, wait=wait, reason=operation.reason) for number in batch]
            changed = queue.change_all(tx, changes)
            tx.wake_others()
        yield sum(one.now is not None for one in changed)
