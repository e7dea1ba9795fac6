"""`ombud notices`: what other systems and people are to be told, and what could not be told."""

from __future__ import annotations

from typing import Any

import click

from ombud.cli.session import NOT_OK, Group, Session, choice_of, yes_option
from ombud.notices.outbox import Kind, Notice, State, Try, drop, find_notices, get_notice, last_words, retry, tries_of


@click.group("notices", cls=Group)
def command() -> None:
    """What others are to be told, and what could not be told."""


@command.command("list")
@click.option("--state", type=choice_of(State), help="Only these.")
@click.option("--failing", is_flag=True, help="Only those that have been tried in vain, or given up.")
@click.option("--kind", type=choice_of(Kind), help="Only these.")
@click.option("--target", default="", help="Only to this webhook or address.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@click.pass_context
def list_(ctx: click.Context, state: str | None, failing: bool, kind: str | None, target: str, limit: int) -> None:
    """List the notices, the newest first. Ends with 3 when some were given up: retry or drop them."""
    session: Session = ctx.obj
    with session.opened() as installation, installation.database.read() as tx:
        wanted = Kind(kind) if kind else None
        states = [State(state)] if state else []
        found = find_notices(tx, states=states, kind=wanted, target=target, limit=limit, failing=failing)
        given_up = find_notices(tx, states=[State.GIVEN_UP], kind=wanted, target=target, limit=limit)
        if failing:
            found = sorted([*found, *given_up], key=lambda one: -one.id)
        words = last_words(tx, found)
    session.show_rows(
        [_about(one, words.get(one.id)) for one in found], "notice", "kind", "to", "about", "state", "tries", "due_at", "words",
        spare=("kind", "due_at", "about"),
    )  # fmt: skip
    ctx.exit(NOT_OK if given_up else 0)


@command.command()
@click.argument("notice")
@click.pass_obj
def show(session: Session, notice: str) -> None:
    """Show a notice with what is told and every try."""
    with session.opened() as installation, installation.database.read() as tx:
        found = get_notice(tx, notice)
        tries = tries_of(tx, found.id)
    session.show_one(
        {
            **_about(found, tries[-1] if tries else None),
            "created_at": found.created_at,
            "payload": dict(found.payload),
            "attempts": [{"at": one.at, "status": one.status, "seconds": round(one.seconds, 2), "words": one.words} for one in tries],
        }
    )  # fmt: skip


@command.command("retry")
@click.argument("notices", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are given up or fail.")
@click.pass_obj
def retry_(session: Session, notices: tuple[str, ...], everything: bool) -> None:
    """Have them told now; a running service does it."""
    if everything == bool(notices):
        raise click.UsageError("Name the notices, or say --all.")
    with session.opened() as installation, installation.database.write() as tx:
        if everything:
            waiting = find_notices(tx, failing=True, limit=100_000) + find_notices(
                tx, states=[State.GIVEN_UP], limit=100_000
            )
            notices = tuple(one.ref for one in waiting)
        number = sum(retry(tx, notices[start : start + 500]) for start in range(0, len(notices), 500))
    session.show_done({"retried": number}, f"{number} are told now.", f"{number} lämnas nu.")


@command.command("drop")
@click.argument("notices", nargs=-1, required=True)
@yes_option
@click.pass_obj
def drop_(session: Session, notices: tuple[str, ...], yes: bool) -> None:
    """Have them told no more: whoever was to be told is told by you, or not at all."""
    with session.opened() as installation:
        session.confirm(yes, f"Tell {len(notices)} notices no more?", f"Sluta lämna {len(notices)} meddelanden?")
        with installation.database.write() as tx:
            number = drop(tx, notices, installation.clock.now())
    session.show_done({"dropped": number}, f"{number} are dropped.", f"{number} är borttagna.")


def _about(notice: Notice, newest: Try | None) -> dict[str, Any]:
    return {
        "notice": notice.ref, "kind": notice.kind, "to": notice.target, "about": notice.about or None, "state": notice.state,
        "tries": notice.tries, "due_at": notice.due_at, "settled_at": notice.settled_at, "words": newest.words if newest else None,
    }  # fmt: skip
