"""`ombud campaigns brownout`: holding unchosen customers' mail for some hours, announced, by two people, with a button that ends it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ombud.accounts import load_directory
from ombud.apply import changing
from ombud.campaigns.brownouts import Report, approve, concerned, report, reports
from ombud.campaigns.mailing import letter_writer
from ombud.choices import Campaign, load_choices
from ombud.cli.operator import by_option, campaign_named, campaign_option, moment
from ombud.cli.session import NOT_OK, NUMBER, Group, Session, dry_run_option, yes_option
from ombud.db import Transaction
from ombud.errors import NotFound
from ombud.routing import ask_brownout, get_brownout, load_facts, pause_brownout


@click.group("brownout", cls=Group)
def brownout() -> None:
    """Hold unchosen customers' mail for some hours: announced, asked by one and approved by another; no mail is lost."""


@brownout.command()
@click.option("--from", "starts_at", required=True, metavar="MOMENT", callback=moment, help="Such as 2024-05-15T10:00.")
@click.option(
    "--to", "ends_at", required=True, metavar="MOMENT", callback=moment, help="When what is held is released."
)
@click.option("--reason", default="", help="Why.")
@campaign_option
@by_option
@dry_run_option
@click.pass_obj
def announce(
    session: Session, starts_at: datetime, ends_at: datetime, reason: str, campaign: str | None, by: str, dry_run: bool
) -> None:
    """Ask for a brownout. Nothing happens, and nobody is told, before another person approves it."""
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        now = installation.clock.now()
        chosen = campaign_named(load_choices(tx), campaign, now)
        asked = ask_brownout(tx, chosen.id, starts_at, ends_at, now, by=by, reason=reason)
        hit = concerned(tx, load_facts(tx), load_directory(tx), chosen, asked)
    session.show_done(
        {"brownout": asked.id, "campaign": chosen.slug, "from": starts_at, "to": ends_at, "customers": len(hit), "dry_run": dry_run},
        f"Brownout {asked.id} is asked for: it would hold the mail of {len(hit)} customers. Another person approves it.",
        f"Provstopp {asked.id} är begärt: det skulle hålla {len(hit)} kunders mejl. Någon annan godkänner det.",
    )  # fmt: skip


@brownout.command("approve")
@click.argument("number", type=NUMBER)
@by_option
@dry_run_option
@yes_option
@click.pass_obj
def approve_(session: Session, number: int, by: str, dry_run: bool, yes: bool) -> None:
    """Approve brownout NUMBER, which another has asked for, and tell everyone concerned."""
    with session.opened() as installation:
        if not dry_run:
            session.confirm(yes, f"Approve brownout {number} and write to those concerned?", f"Godkänn provstopp {number} och skriv till dem det gäller?")  # fmt: skip
        with changing(installation.database, dry_run=dry_run) as tx:
            now = installation.clock.now()
            chosen = _campaign_of(tx, number)
            writer = letter_writer(tx, installation.seal, installation.settings)
            letters = approve(tx, load_facts(tx), load_directory(tx), chosen, number, writer, now, by=by)
    session.show_done(
        {"brownout": number, "approved_by": by, "letters": len(letters), "dry_run": dry_run},
        f"Brownout {number} is approved; {len(letters)} letters{' would go' if dry_run else ' go'} out.",
        f"Provstopp {number} är godkänt; {len(letters)} brev {'skulle skickas' if dry_run else 'skickas'}.",
    )


@brownout.command()
@click.argument("number", type=NUMBER)
@by_option
@click.pass_obj
def pause(session: Session, number: int, by: str) -> None:
    """End brownout NUMBER now, also before it has begun: what it holds is released at once."""
    with session.opened() as installation, installation.database.write() as tx:
        pause_brownout(tx, number, installation.clock.now(), by=by)
    session.show_done(
        {"brownout": number, "paused_by": by},
        f"Brownout {number} is paused; what it held is being released.",
        f"Provstopp {number} är pausat; det som hölls släpps nu.",
    )


@brownout.command()
@click.argument("number", type=NUMBER, required=False)
@campaign_option
@click.pass_context
def show(ctx: click.Context, number: int | None, campaign: str | None) -> None:
    """Show the brownouts, or one: how much was held, and that all of it got out. Ends with 3 where something is held still."""
    session: Session = ctx.obj
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        if number is None:
            found = reports(tx, campaign_named(load_choices(tx), campaign, now), now)
        else:
            found = [report(tx, _campaign_of(tx, number), get_brownout(tx, number), now)]
    rows = [_about(one) for one in found]
    if number is None:
        session.show_rows(
            rows, "brownout", "state", "from", "to", "asked_by", "approved_by", "held", "released", "still_held"
        )
    else:
        session.show_one(rows[0])
    ctx.exit(0 if all(one.balanced for one in found) else NOT_OK)


def _campaign_of(tx: Transaction, number: int) -> Campaign:
    found = get_brownout(tx, number)
    for one in load_choices(tx).campaigns:
        if one.id == found.campaign_id:
            return one
    raise NotFound(kind="brownout", name=number)


def _about(one: Report) -> dict[str, Any]:
    window, fate = one.brownout, one.fate
    return {
        "brownout": window.id, "state": one.state, "from": window.starts_at, "to": window.ends_at, "asked_by": window.asked_by,
        "approved_by": window.approved_by, "paused_by": window.paused_by, "reason": window.reason or None, "customers": fate.customers,
        "held": fate.held, "released": fate.released, "expired": fate.expired, "cancelled": fate.cancelled,
        "suppressed": fate.suppressed, "still_held": fate.still_held, "balanced": one.balanced,
    }  # fmt: skip
