"""`ombud switches`: whose mail goes over to another route, when, and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.apply import changing
from ombud.campaigns.fees import settle_rolled_back
from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, NUMBER, Group, Session, dry_run_option, yes_option
from ombud.clock import parse_moment
from ombud.delivery.following import baseline
from ombud.errors import BadField, NotFound
from ombud.routing import Action, Facts, Switch, counts_of, decide, get_switch, load_facts, put_switch, roll_back
from ombud.routing.switches import MARGIN_PERCENT


@click.group("switches", cls=Group)
def command() -> None:
    """Whose mail goes over to another route, when, and back."""


@command.command()
@click.option("--customer", required=True, help="Whose mail.")
@click.option(
    "--product",
    "products",
    multiple=True,
    help="From this product; may be given several times. Without it, from every one.",
)
@click.option("--to", "route", required=True, metavar="ROUTE", help="The route that it goes over to.")
@click.option("--when", metavar="MOMENT", help="From then on (Stockholm time); without it, from now on.")
@click.option(
    "--canary", type=click.IntRange(1, 99), metavar="PERCENT", help="First only this share of the recipients."
)
@click.option("--canary-until", metavar="MOMENT", help="Until then; after it, all.")
@click.option(
    "--margin",
    type=click.IntRange(0, 100),
    default=MARGIN_PERCENT,
    show_default=True,
    metavar="POINTS",
    help="So many per cent points more failures than before roll it back.",
)
@click.option("--reason", default="", help="Why.")
@by_option
@dry_run_option
@click.pass_obj
def put(
    session: Session, customer: str, products: tuple[str, ...], route: str, when: str | None, canary: int | None,
    canary_until: str | None, margin: int, reason: str, by: str, dry_run: bool,
) -> None:  # fmt: skip
    """Let a customer's mail take another route from a moment on.

    This is an operator's own: a choice that goes live puts its switch by itself. Failures are counted for three days, and roll the switch back when they pass the margin. What is in the queue follows.
    """
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        now = installation.clock.now()
        directory, facts = load_directory(tx), load_facts(tx)
        who = directory.customer(customer)
        ids = [directory.product(slug).id for slug in products] or None
        to = facts.route(route)
        if to is None:
            raise NotFound(kind="route", name=route)
        before = decide(facts, who.id, ids[0], now).route if ids else None
        switch = put_switch(
            tx, who.id, to.id, now, product_ids=ids, at=_moment("when", when), from_route_id=before.id if before else None,
            canary_percent=canary or 100, canary_until=_moment("canary-until", canary_until), margin_percent=margin, by=by,
            reason=reason,
        )  # fmt: skip
        values = _about(directory, load_facts(tx), switch, now)
    session.show_done(
        {**values, "dry_run": dry_run}, f"Switch {switch.id}: {customer} goes over to {route}.",
        f"Omslag {switch.id}: {customer} slås över till {route}.",
    )  # fmt: skip


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        return parse_moment(text) if text else None
    except ValueError as error:
        raise BadField(
            field=option, reason="write it as 2024-06-01T00:00, with an offset if it is not Stockholm time"
        ) from error


@command.command("list")
@click.option("--customer", help="Only this customer's.")
@click.option("--now", "only_now", is_flag=True, help="Only those that stand now.")
@click.pass_obj
def list_(session: Session, customer: str | None, only_now: bool) -> None:
    """List the switches, the newest first."""
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        directory, facts = load_directory(tx), load_facts(tx)
        who = directory.customer(customer).id if customer else None
        found = [
            one
            for one in reversed(facts.switches)
            if who in (None, one.customer_id) and (not only_now or one.stands(now))
        ]
        rows = [_about(directory, facts, one, now) for one in found]
    session.show_rows(
        rows, "switch", "customer", "products", "from", "to", "at", "state", "by", spare=("by", "products", "from")
    )


@command.command()
@click.argument("switch", type=NUMBER)
@click.pass_obj
def show(session: Session, switch: int) -> None:
    """Show a switch, and how its mail goes beside how it went before."""
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        found = get_switch(tx, switch)
        values = _about(load_directory(tx), load_facts(tx), found, now)
        since, before = counts_of(tx, [switch])[switch], baseline(tx, found)
    session.show_one(
        {
            **values,
            "watched_until": found.watch_until,
            "margin_percent": found.margin_percent,
            "since": {"tries": since.tries, "failed": since.failed, "percent": round(since.share * 100, 1)},
            "before": {"tries": before.tries, "failed": before.failed, "percent": round(before.share * 100, 1)},
            "rolled_back_at": found.rolled_back_at,
            "rolled_back_by": found.rolled_back_by,
            "rollback_reason": found.rollback_reason,
        }
    )


@command.command("roll-back")
@click.argument("switch", type=NUMBER)
@click.option("--reason", default="", help="Why.")
@by_option
@yes_option
@click.pass_obj
def roll_back_(session: Session, switch: int, reason: str, by: str, yes: bool) -> None:
    """Take a switch back: from now on the mail goes as if it had never been, what is in the queue too. A fee that
    it began ends today, unless another switch still leads there.

    Exit 3 when some of the mail then has no way, as after the stop: it is held or refused.
    """
    with session.opened() as installation:
        session.confirm(yes, f"Roll back switch {switch}?", f"Återställa omslag {switch}?")
        with installation.database.write() as tx:
            now = installation.clock.now()
            done = roll_back(tx, switch, now, by=by, reason=reason)
            paid = bool(settle_rolled_back(tx, now, by=by, customer_id=done.customer_id))
            directory, facts = load_directory(tx), load_facts(tx)
        stopped = [
            directory.product_by_id(product).slug
            for product in sorted(done.product_ids or {one.id for one in directory.products.values()})
            if decide(facts, done.customer_id, product, now).action is not Action.SEND
        ]
    values = {**_about(directory, facts, done, now), "stopped_products": stopped, "fee_changed": paid}
    stops = (f" No way is open now for: {', '.join(stopped)}.", f" Ingen väg är öppen nu för: {', '.join(stopped)}.") if stopped else ("", "")  # fmt: skip
    session.show_done(values, f"Switch {switch} is rolled back.{stops[0]}", f"Omslag {switch} är återställt.{stops[1]}")
    if stopped:
        raise click.exceptions.Exit(NOT_OK)


def _about(directory: Directory, facts: Facts, switch: Switch, now: datetime) -> dict[str, Any]:
    names = sorted(directory.product_by_id(product).slug for product in switch.product_ids or ())
    before = facts.routes.get(switch.from_route_id) if switch.from_route_id else None
    return {
        "switch": switch.id,
        "customer": directory.customer_by_id(switch.customer_id).slug,
        "products": names or None,
        "from": before.slug if before else None,
        "to": facts.routes[switch.to_route_id].slug,
        "at": switch.at,
        "state": _state(facts, switch, now),
        "canary_percent": switch.canary_percent if switch.in_canary(now) else None,
        "canary_until": switch.canary_until,
        "campaign": facts.choices.campaign_by_id(switch.campaign_id).slug if switch.campaign_id else None,
        "by": switch.by,
        "reason": switch.reason or None,
    }


def _state(facts: Facts, switch: Switch, now: datetime) -> str:
    if switch.rolled_back_at is not None and switch.rolled_back_at <= now:
        return "rolled_back"
    if now < switch.at:
        return "planned"
    if switch.in_canary(now):
        return "canary"
    return (
        "live"
        if any(_rules(facts, switch, product, now) for product in switch.product_ids or facts.products)
        else "superseded"
    )


def _rules(facts: Facts, switch: Switch, product_id: int, now: datetime) -> bool:
    """Whether it is this switch that decides for the product: the newest one that stands and is no canary."""
    standing = (
        one for one in facts.switches_of.get(switch.customer_id, ())
        if one.stands(now) and one.concerns(product_id) and not one.in_canary(now)
    )  # fmt: skip
    return next(standing, None) == switch
