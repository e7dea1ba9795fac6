"""`ombud extensions`: more time for a customer, an exemption, or reserve mode; asked for by one and approved by another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.choices import (
    REASON_CODES,
    Choices,
    Extension,
    ExtensionKind,
    ExtensionState,
    approve_extension,
    ask_extension,
    end_extension,
    extension_by_id,
    load_choices,
)
from ombud.cli.operator import by_option, campaign_named, campaign_option
from ombud.cli.session import NUMBER, Group, Session, choice_of

number_argument = click.argument("number", type=NUMBER)


@click.group("extensions", cls=Group)
def command() -> None:
    """More time for customers, exemptions, and reserve mode; two people decide, and each ends by itself."""


@command.command("list")
@campaign_option
@click.option("--customer", metavar="SLUG", help="Only this one's.")
@click.option("--state", type=choice_of(ExtensionState), help="Only these.")
@click.pass_obj
def list_(session: Session, campaign: str | None, customer: str | None, state: str | None) -> None:
    """List them all, those that end first first."""
    with session.opened() as installation, installation.database.read() as tx:
        choices, directory, now = load_choices(tx), load_directory(tx), installation.clock.now()
        chosen = campaign_named(choices, campaign, now)
    only = directory.customer(customer).id if customer else None
    found = sorted(choices.extensions_in(chosen.id), key=lambda one: (one.ends_at, one.id))
    rows = [
        _about(choices, directory, one, now)
        for one in found
        if only in (None, one.customer_id) and state in (None, one.state(now))
    ]
    session.show_rows(
        rows, "number", "customer", "kind", "state", "until", "reason_code", "reason", "asked_by", "approved_by",
        spare=("reason", "asked_by", "approved_by"),
    )  # fmt: skip


@command.command()
@click.argument("customer")
@campaign_option
@click.option(
    "--kind", type=choice_of(ExtensionKind), default=ExtensionKind.EXTENSION.value, show_default=True,
    help="More time; no need to choose; or mail from the vendor's own domain.",
)  # fmt: skip
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day, such as 2024-06-30.")
@click.option("--reason-code", type=click.Choice(list(REASON_CODES)), required=True, help="Which kind of reason.")
@click.option("--reason", required=True, help="The reason in words.")
@by_option
@click.pass_obj
def ask(
    session: Session, customer: str, campaign: str | None, kind: str, until: datetime, reason_code: str, reason: str, by: str
) -> None:  # fmt: skip
    """Ask for an extension for a customer. It counts for nothing until another person has approved it."""
    with session.opened() as installation, installation.database.write() as tx:
        now, choices, directory = installation.clock.now(), load_choices(tx), load_directory(tx)
        asked = ask_extension(
            tx, campaign_named(choices, campaign, now), directory.customer(customer), ExtensionKind(kind), until.date(), now,
            reason_code=reason_code, reason=reason, by=by,
        )  # fmt: skip
    session.show_done(
        _about(choices, directory, asked, now),
        f"Number {asked.id} waits for another person: ombud extensions approve {asked.id}",
        f"Nummer {asked.id} väntar på en annan person: ombud extensions approve {asked.id}",
    )


@command.command()
@number_argument
@by_option
@click.pass_obj
def approve(session: Session, number: int, by: str) -> None:
    """Approve what another person has asked for. It counts from now on."""
    with session.opened() as installation, installation.database.write() as tx:
        now, choices, directory = installation.clock.now(), load_choices(tx), load_directory(tx)
        there = extension_by_id(tx, number)
        done = approve_extension(tx, choices.campaign_by_id(there.campaign_id), there, by, now)
    values = _about(choices, directory, done, now)
    session.show_done(
        values,
        f"In force for {values['customer']} through {done.until}.",
        f"Gäller för {values['customer']} till och med {done.until}.",
    )


@command.command()
@number_argument
@click.option("--reason", required=True, help="Why it ends now.")
@by_option
@click.pass_obj
def end(session: Session, number: int, reason: str, by: str) -> None:
    """End it before its last day, or deny what waits for approval."""
    with session.opened() as installation, installation.database.write() as tx:
        now, choices, directory = installation.clock.now(), load_choices(tx), load_directory(tx)
        done = end_extension(tx, extension_by_id(tx, number), by, reason, now)
    state = done.state(now)
    session.show_done(
        _about(choices, directory, done, now),
        f"Number {number} is {state}.",
        f"Nummer {number} är {'avslutat' if state is ExtensionState.ENDED else 'avslaget'}.",
    )


def _about(choices: Choices, directory: Directory, one: Extension, now: datetime) -> dict[str, Any]:
    return {
        "number": one.id,
        "campaign": choices.campaign_by_id(one.campaign_id).slug,
        "customer": directory.customer_by_id(one.customer_id).slug,
        "kind": one.kind,
        "state": one.state(now),
        "until": one.until.isoformat(),
        "ends_at": one.ends_at,
        "reason_code": one.reason_code,
        "reason": one.reason,
        "asked_by": one.asked_by,
        "asked_at": one.asked_at,
        "approved_by": one.approved_by or None,
        "approved_at": one.approved_at,
        "ended_by": one.ended_by or None,
        "ended_at": one.ended_at,
        "ended_why": one.ended_why or None,
    }
