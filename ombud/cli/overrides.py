"""`ombud overrides`: what an operator has decided otherwise for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.cli.operator import by_option
from ombud.cli.session import NUMBER, Group, Session
from ombud.clock import parse_moment
from ombud.errors import BadField, NotFound
from ombud.routing import Facts, Override, end_override, load_facts, put_override


@click.group("overrides", cls=Group)
def command() -> None:
    """What an operator has decided otherwise, for a while."""


@command.command()
@click.option("--customer", required=True, help="Whose mail.")
@click.option("--product", help="From which product; without it, from every one.")
@click.option("--hold", is_flag=True, help="Keep the mail.")
@click.option("--route", help="Send it by this route.")
@click.option("--until", required=True, metavar="MOMENT", help="Until then (Stockholm time), at most 14 days from now.")
@click.option("--reason", required=True, help="Why.")
@by_option
@click.pass_obj
def put(
    session: Session, customer: str, product: str | None, hold: bool, route: str | None, until: str, reason: str, by: str,
) -> None:  # fmt: skip
    """Hold a customer's mail, or send it another way, until a moment. It goes before everything but reserve mode.

    What it holds is released when it ends.
    """
    if hold == bool(route):
        raise click.UsageError("Say either --hold or --route.")
    try:
        end = parse_moment(until)
    except ValueError as error:
        raise BadField(field="until", reason="write it as 2024-06-01T00:00") from error
    with session.opened() as installation, installation.database.write() as tx:
        directory, facts, now = load_directory(tx), load_facts(tx), installation.clock.now()
        to = facts.route(route) if route else None
        if route and to is None:
            raise NotFound(kind="route", name=route)
        override = put_override(
            tx, directory.customer(customer).id, directory.product(product).id if product else None, to.id if to else None,
            now, until=end, by=by, reason=reason,
        )  # fmt: skip
        values = _about(directory, load_facts(tx), override, now)
    session.show_done(values, f"Override {override.id} is in force.", f"Undantag {override.id} gäller.")


@command.command("list")
@click.option("--all", "over_too", is_flag=True, help="Those that are over too.")
@click.pass_obj
def list_(session: Session, over_too: bool) -> None:
    """List the overrides, the newest first."""
    with session.opened() as installation, installation.database.read() as tx:
        directory, facts, now = load_directory(tx), load_facts(tx), installation.clock.now()
    found = [one for one in reversed(facts.overrides) if over_too or one.stands(now)]
    rows = [_about(directory, facts, one, now) for one in found]
    session.show_rows(rows, "override", "customer", "product", "route", "at", "until", "state", "by", "reason", spare=("at", "by"))  # fmt: skip


@command.command()
@click.argument("override", type=NUMBER)
@by_option
@click.pass_obj
def end(session: Session, override: int, by: str) -> None:
    """End an override before its time; what it holds is released."""
    with session.opened() as installation, installation.database.write() as tx:
        end_override(tx, override, installation.clock.now(), by=by)
    session.show_done(
        {"override": override, "ended_by": by}, f"Override {override} is over.", f"Undantag {override} har upphört."
    )


def _about(directory: Directory, facts: Facts, override: Override, now: datetime) -> dict[str, Any]:
    return {
        "override": override.id,
        "customer": directory.customer_by_id(override.customer_id).slug,
        "product": directory.product_by_id(override.product_id).slug if override.product_id else None,
        "action": "send" if override.route_id else "hold",
        "route": facts.routes[override.route_id].slug if override.route_id else None,
        "at": override.at,
        "until": override.until,
        "state": "in_force" if override.stands(now) else "over",
        "by": override.by,
        "reason": override.reason,
    }
