"""`ombud links`: personal links, by which one person opens one page without logging in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.accounts.links import (
    LINK_DAYS,
    Link,
    Scope,
    link_path,
    links_about,
    make_link,
    renew_link,
    revoke_link,
    uses_of,
)
from ombud.accounts.people import load_people, people_of
from ombud.campaigns.mailing import base_url
from ombud.choices import load_choices
from ombud.cli.operator import by_option, campaign_named
from ombud.cli.people import find_person
from ombud.cli.session import NUMBER, Group, Session, choice_of
from ombud.clock import day_of
from ombud.db import Transaction

_FOR_CAMPAIGNS = (Scope.CHOOSE, Scope.SNOOZE)


@click.group("links", cls=Group)
def command() -> None:
    """Personal links: a page that one person opens without logging in."""


@command.command()
@click.option("--customer", required=True, help="Whose page it is.")
@click.option(
    "--person", help="The number or address of whom it is for; needed for a choice, unless only one may choose."
)
@click.option(
    "--scope", type=choice_of(Scope), default=Scope.CHOOSE.value, show_default=True, help="Which page it opens."
)
@click.option("--about", help="The campaign's slug or the domain; the default is the campaign that has started last.")
@click.option("--days", type=click.IntRange(1, 365), default=LINK_DAYS, show_default=True, help="How long it works.")
@by_option
@click.pass_obj
def make(
    session: Session, customer: str, person: str | None, scope: str, about: str | None, days: int, by: str
) -> None:
    """Make a link, and show it: it is not shown again. Whoever has it can do what it is for."""
    with session.opened() as installation, installation.database.write() as tx:
        now = installation.clock.now()
        owner = load_directory(tx).customer(customer)
        people = people_of(tx, owner.id)
        may = [one for one in people if one.may_choose]
        found = find_person(people, person) if person else (may[0] if len(may) == 1 else None)
        if found is None and Scope(scope) in _FOR_CAMPAIGNS:
            raise click.UsageError("Name the --person: " + (", ".join(one.email for one in may) or "nobody there may choose yet") + ".")  # fmt: skip
        if Scope(scope) in _FOR_CAMPAIGNS:
            about = campaign_named(load_choices(tx), about, now).slug
        elif not about:
            raise click.UsageError("Name the domain with --about.")
        token = make_link(
            tx, installation.seal, Scope(scope), about, now, timedelta(days=days),
            customer_id=owner.id, person_id=found.id if found else None, by=by,
        )  # fmt: skip
        made = links_about(tx, Scope(scope), about, owner.id)[0]
    address = f"{base_url(installation.settings)}/{link_path(Scope(scope))}/{token}"
    session.show_done(
        {"id": made.id, "url": address, "expires_at": made.expires_at, "person": found.email if found else None},
        address,
        address,
    )


@command.command("list")
@click.option("--customer", help="Only this customer's.")
@click.option("--scope", type=choice_of(Scope), help="Only these.")
@click.option("--about", default="", help="Only those about this campaign or domain.")
@click.pass_obj
def list_(session: Session, customer: str | None, scope: str | None, about: str) -> None:
    """List the links, the newest first, with what was done through each. Their addresses are not kept."""
    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
        number = directory.customer(customer).id if customer else None
        links = links_about(tx, Scope(scope) if scope else None, about, number)[:500]
        people = {one.id: one.email for one in load_people(tx)}
        rows = [_about(tx, directory, people, one, installation.clock.now()) for one in links]
    if not session.as_json:
        rows = [{**row, "expires_at": day_of(row["expires_at"])} for row in rows]
    session.show_rows(
        rows, "id", "customer", "person", "scope", "about", "state", "expires_at", "used", spare=("about", "expires_at")
    )


@command.command()
@click.argument("number", type=NUMBER)
@click.pass_obj
def revoke(session: Session, number: int) -> None:
    """Let nobody open link NUMBER any more."""
    with session.opened() as installation, installation.database.write() as tx:
        revoke_link(tx, number, installation.clock.now())
    session.show_done({"id": number, "state": "revoked"}, f"Link {number} opens nothing any more.", f"Länk {number} öppnar inget längre.")  # fmt: skip


@command.command()
@click.argument("number", type=NUMBER)
@click.option(
    "--days", type=click.IntRange(1, 365), default=LINK_DAYS, show_default=True, help="How long it works from now."
)
@click.pass_obj
def renew(session: Session, number: int, days: int) -> None:
    """Let link NUMBER work for so many days from now; it is the same link."""
    with session.opened() as installation, installation.database.write() as tx:
        link = renew_link(tx, number, installation.clock.now(), timedelta(days=days))
    until = day_of(link.expires_at)
    session.show_done({"id": number, "expires_at": link.expires_at}, f"Link {number} works until {until}.", f"Länk {number} gäller till {until}.")  # fmt: skip


def _about(tx: Transaction, directory: Directory, people: dict[int, str], link: Link, now: datetime) -> dict[str, Any]:
    state = "revoked" if link.revoked_at else "expired" if now >= link.expires_at else "open"
    return {
        "id": link.id, "customer": directory.customer_by_id(link.customer_id).slug, "person": people.get(link.person_id or 0),
        "scope": link.scope, "about": link.about, "by": link.by or None, "state": state, "created_at": link.created_at,
        "expires_at": link.expires_at, "used": [f"{use.what} {day_of(use.at)}" for use in uses_of(tx, link.id)],
    }  # fmt: skip
