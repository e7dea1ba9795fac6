"""`ombud messages`: what was accepted, and what became of it. The JSON has the names that the API has."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from ombud import queue
from ombud.accounts import Directory, load_directory
from ombud.cli.session import Group, Session, choice_of
from ombud.clock import STOCKHOLM, parse_moment
from ombud.db import Database, Transaction
from ombud.errors import NotFound
from ombud.mail.encodedword import without_unsafe
from ombud.queue import Event, Filter, Happening, MessageView, RecipientView, Scope, State, Stream
from ombud.routing import Facts, decide, explain, load_facts, said

#: So many events are read again at each look: with several writers, one with a lower number may be committed later.
_OVERLAP = 200
_MOST_AT_A_LOOK = 1000  # more than _OVERLAP, so that each look gets on
_LOOK_EVERY = 0.5


class _Moment(click.ParamType[datetime]):
    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return parse_moment(str(value))
        except ValueError:
            self.fail("write it as 2024-06-01T00:00, with an offset if it is not Stockholm time", param, ctx)


@click.group("messages", cls=Group)
def command() -> None:
    """What was accepted, and what became of it."""


# --- list ----------------------------------------------------------------------------------------------------------


@command.command("list")
@click.option("--state", type=choice_of(State), help="One of its recipients is in this state.")
@click.option("--to", help="One of its recipients is this address.")
@click.option("--tag", help="It has this tag.")
@click.option("--message-id", help="Its Message-ID field is this.")
@click.option("--customer", help="It is this customer's.")
@click.option("--product", help="It is from this product.")
@click.option("--route", help="One of its recipients takes this route.")
@click.option("--since", type=_Moment(), help="Accepted then or later.")
@click.option("--until", type=_Moment(), help="Accepted before then.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="The `next_cursor` of the page before.")
@click.pass_obj
def list_(
    session: Session, state: str | None, to: str | None, tag: str | None, message_id: str | None, customer: str | None,
    product: str | None, route: str | None, since: datetime | None, until: datetime | None, limit: int, cursor: str | None,
) -> None:  # fmt: skip
    """List messages, the newest first."""
    with session.opened() as installation, installation.database.read() as tx:
        names = Names(tx)
        wanted = Filter(State(state) if state else None, to, tag, message_id, since, until, names.route_id(route))
        scope = names.scope(customer, product)
        found, more = queue.list_messages(tx, scope, wanted, limit, cursor, recipients=False)
        states = queue.tally(tx, [view.id for view in found])
        rows = [names.summary(view, states[view.id]) for view in found]
    if session.as_json:
        session.show_json({"data": rows, "next_cursor": more})
        return
    lines = [{**row, "at": row["created_at"], "states": _counted(row["states"])} for row in rows]
    session.show_rows(lines, "id+at", "customer+product", "from+subject", "states", spare=("customer+product",))
    if more:
        click.echo(session.say(f"There are more: --cursor {more}", f"Det finns fler: --cursor {more}"))


def _counted(states: Mapping[str, int]) -> list[str]:
    """The states for a person, one below the other: alone it needs no number."""
    return list(states) if sum(states.values()) == 1 else [f"{number} {state}" for state, number in states.items()]


class Names:
    """Ids to names and back, at one moment."""

    def __init__(self, tx: Transaction) -> None:
        self.directory: Directory = load_directory(tx)
        self.facts: Facts = load_facts(tx)

    def scope(self, customer: str | None, product: str | None) -> Scope:
        """Raises NotFound."""
        return Scope(
            self.directory.customer(customer).id if customer else None,
            self.directory.product(product).id if product else None,
        )

    def route_id(self, slug: str | None) -> int | None:
        """Raises NotFound."""
        if slug is None:
            return None
        if (route := self.facts.route(slug)) is None:
            raise NotFound(kind="route", name=slug)
        return route.id

    def route(self, route_id: int | None) -> str | None:
        return self.facts.routes[route_id].slug if route_id is not None else None

    def customer(self, customer_id: int) -> str:
        return self.directory.customer_by_id(customer_id).slug

    def summary(self, view: MessageView, states: Mapping[State, int]) -> dict[str, Any]:
        """`states`: how many of its recipients are in each."""
        return {
            "id": view.id,
            "customer": self.customer(view.customer_id),
            "product": self.directory.product_by_id(view.product_id).slug,
            "mode": view.mode,
            "stream": view.stream,
            "door": view.door,
            "from": view.header_from,
            "mail_from": view.mail_from,
            "message_id": f"<{view.message_id}>",
            "subject": view.subject,
            "size": view.size,
            "tags": list(view.tags),
            "metadata": view.metadata,
            "created_at": view.created_at,
            "states": dict(states),
        }

    def recipient(self, message_id: str, view: RecipientView) -> dict[str, Any]:
        return {
            "id": f"{message_id}-{view.n}",
            "address": view.address,
            "state": view.state,
            "reason": view.reason,
            "warning": view.warning,
            "route": self.route(view.route_id),
            "attempts": view.attempts,
            "due_at": view.due_at,
            "changed_at": view.changed_at,
        }

    def event(self, one: Happening) -> dict[str, Any]:
        said = {name: one.data.get(name) for name in ("attempt", "reply", "remote", "reason", "words")}
        return {"at": one.at, "type": one.type, "recipient": one.recipient, "route": self.route(one.route_id), **said}

    def happened(self, event: Event) -> dict[str, Any]:
        """An event of any message; which way the attempt took is not read with it."""
        said = self.event(event.happening)
        del said["route"]
        return {"message": event.message_id, "customer": self.customer(event.customer_id), **said}


# --- show ----------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("id")
@click.pass_obj
def show(session: Session, id: str) -> None:
    """Show a message with its recipients and all that happened to it. ID may be one recipient's, `<message>-<n>`."""
    message_id, n = read_id(id)
    with session.opened() as installation, installation.database.read() as tx:
        names = Names(tx)
        view = queue.get_message(tx, Scope(), message_id)
        chosen = [one for one in view.recipients if n in (None, one.n)]
        values = names.summary(view, Counter(one.state for one in view.recipients))
        recipients = [names.recipient(message_id, one) for one in chosen]
        timeline = [names.event(one) for one in queue.timeline(tx, message_id, n)]
    if not chosen:
        raise NotFound(kind="message", name=id)
    if session.as_json:
        session.show_json({**values, "recipients": recipients, "timeline": timeline})
        return
    session.show_one({name: value for name, value in values.items() if value not in ({}, [], "")})
    click.echo()
    session.show_rows(
        recipients,
        "address",
        "state",
        "due_at",
        "reason",
        "warning",
        "route",
        "attempts",
        spare=("attempts", "warning", "reason", "route"),
    )
    click.echo()
    for words in dict.fromkeys(_why(session, names, view, one) for one in chosen):
        session.show_line(words, hanging=2)
    click.echo()
    for event in timeline:
        session.show_line(_line(event), hanging=_HANGING)


def _why(session: Session, names: Names, view: MessageView, one: RecipientView) -> str:
    """Why it takes its route, or is held: the rule with its dates, where today's facts still say the same of that moment."""
    at = one.changed_at if one.state is State.HELD else view.created_at
    decision = decide(
        names.facts, view.customer_id, view.product_id, at, recipient=one.address,
        sender_domain=view.header_from.rpartition("@")[2], test=view.mode == "test", important=view.stream == Stream.IMPORTANT,
        bulk=view.stream == Stream.BULK,
    )  # fmt: skip
    if decision.reason == one.reason:
        return f"{one.reason}: {explain(decision)[session.language]}"
    return f"{one.reason}: {said(one.reason)[session.language]}"


def read_id(id: str) -> tuple[str, int | None]:
    """A message's id, with the recipient's place where it is one recipient's (`<message>-<n>`)."""
    message_id, _, n = id.partition("-")
    return message_id, int(n) if n.isdecimal() else None


_HANGING = 33  # what goes on to the next line begins under the recipient


def _line(event: Mapping[str, Any]) -> str:
    """One event for a person, on one line: when, what, whom, and the other side's words."""
    at = event["at"].astimezone(STOCKHOLM).strftime("%Y-%m-%d %H:%M:%S")
    words = [event[name] for name in ("recipient", "route", "reply", "reason", "words") if event.get(name)]
    return without_unsafe(f"{at}  {event['type']:<12}{'  '.join(map(str, words))}")


# --- watch ---------------------------------------------------------------------------------------------------------


@command.command()
@click.option("--customer", help="Only this customer's mail.")
@click.option("--product", help="Only mail from this product.")
@click.option("--last", type=click.IntRange(0), default=0, help="Show so many earlier events first.")
@click.option("--for", "seconds", type=float, help="Stop after so many seconds; without it, watch until Ctrl-C.")
@click.pass_obj
def watch(session: Session, customer: str | None, product: str | None, last: int, seconds: float | None) -> None:
    """Print what happens to messages as it happens: one line, or one JSON object, for each event."""
    with session.opened() as installation:
        with installation.database.read() as tx:
            scope = Names(tx).scope(customer, product)
        try:
            for event in _events(installation.database, scope, last, seconds):
                if session.as_json:
                    session.show_json(event)
                else:
                    click.echo(f"{event['message']}  {_line(event)}")
        except KeyboardInterrupt:
            return


def _events(database: Database, scope: Scope, last: int, seconds: float | None) -> Iterator[dict[str, Any]]:
    """What happens from now on (and the `last` events before), oldest first, each once."""
    end = time.monotonic() + seconds if seconds is not None else None
    with database.read() as tx:
        start = newest = queue.event_before_last(tx, scope, last)
    seen: set[int] = set()
    while True:
        with database.read() as tx:
            names, events = Names(tx), queue.events_after(tx, scope, max(start, newest - _OVERLAP), _MOST_AT_A_LOOK)
        for event in events:
            if event.number not in seen:
                yield names.happened(event)
        seen = {event.number for event in events}
        newest = max(seen, default=newest)
        if end is not None and time.monotonic() >= end:
            return
        time.sleep(_LOOK_EVERY)
