"""`ombud routes`: the ways out, and whose mail takes which."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ombud.accounts import Customer, Directory, Product, load_directory
from ombud.apply import Done, WantedRoute, changing, check_route, may_take, put_wanted_route
from ombud.cli.session import Group, Session, dry_run_option, text_of
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.domains import load_ownership
from ombud.errors import BadField, Misconfigured, NotFound
from ombud.mail.address import parse_address
from ombud.routing import (
    Action,
    Decision,
    Facts,
    Limits,
    Route,
    decide,
    explain,
    load_facts,
    pause_route,
    route_secret,
)
from ombud.routing import (
    assign as assign_route,
)
from ombud.routing import (
    unassign as unassign_route,
)


@click.group("routes", cls=Group)
def command() -> None:
    """The ways out, and whose mail takes which."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the routes."""
    with session.opened() as installation, installation.database.read() as tx:
        directory, facts = load_directory(tx), load_facts(tx)
    rows = [_about(directory, route) for route in facts.routes.values()]
    session.show_rows(
        rows,
        "slug",
        "provider",
        "to",
        "region",
        "owner",
        "sign",
        "billable",
        "paused",
        spare=("provider", "owner", "region"),
    )


@command.command()
@click.argument("slug")
@click.pass_obj
def show(session: Session, slug: str) -> None:
    """Show a route with its settings, its limits and who takes it. Its password is not shown."""
    with session.opened() as installation, installation.database.read() as tx:
        directory, facts = load_directory(tx), load_facts(tx)
        route = _route(facts, slug)
        secret = route_secret(tx, installation.seal, slug)
    values = {
        **_about(directory, route),
        "settings": dict(route.settings),
        "password": bool(secret),
        "limits": asdict(route.limits),
        "assigned": [_who(directory, *who) for who, number in facts.assigned.items() if number == route.id],
    }
    session.show_one(values)


def _route(facts: Facts, slug: str) -> Route:
    if (route := facts.route(slug)) is None:
        raise NotFound(kind="route", name=slug)
    return route


def _about(directory: Directory, route: Route) -> dict[str, Any]:
    host, port = route.settings.get("host"), route.settings.get("port")
    return {
        "slug": route.slug,
        "provider": route.provider,
        "to": f"{host}:{port}" if host and port else host,
        "region": route.region,
        "owner": directory.customer_by_id(route.customer_id).slug if route.customer_id else None,
        "sign": route.sign,
        "billable": route.billable,
        "paused": route.paused,
    }


def _who(directory: Directory, customer_id: int | None, product_id: int | None) -> dict[str, str | None]:
    return {
        "customer": directory.customer_by_id(customer_id).slug if customer_id else None,
        "product": directory.product_by_id(product_id).slug if product_id else None,
    }


# --- adding --------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("slug")
@click.option("--provider", default="smtp", show_default=True, help="What kind of route.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the provider, such as host=smtp.example.se.",
)
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file that holds the password.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="connections, messages_per_minute or recipients_per_day.",
)
@click.option("--customer", default="", help="Whose own it is; without it, it is the vendor's.")
@click.option("--region", default="EU", show_default=True, help="Where its servers are.")
@click.option("--sign", is_flag=True, help="Ombud signs with the sender domain's key.")
@click.option("--billable", is_flag=True, help="Each recipient handed over is counted for the invoice.")
@dry_run_option
@click.pass_obj
def add(
    session: Session, slug: str, provider: str, settings: tuple[str, ...], password_file: Path | None, limits: tuple[str, ...],
    customer: str, region: str, sign: bool, billable: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Add a route, or set the one of that SLUG anew. Nothing takes it before it is assigned."""
    route = WantedRoute(
        slug, provider, dict(_pair("set", text) for text in settings),
        text_of(password_file).rstrip("\r\n") if password_file else "", customer, region, sign, billable, _limits(limits),
    )  # fmt: skip
    check_route(route)
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        step = put_wanted_route(tx, installation.seal, route, installation.clock.now())
    session.show_done(
        {"route": slug, "change": step.done, "detail": step.detail, "dry_run": dry_run},
        f"The route {slug}: {step.done}. {step.detail}",
        f"Vägen {slug}: {step.done}. {step.detail}",
    )


def _pair(option: str, text: str) -> tuple[str, object]:
    """NAME=VALUE as a provider's setting has it: true and false, numbers, and else text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadField(field=option, reason=f"{text} is not NAME=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.isdecimal() and name != "user" else value


def _limits(texts: tuple[str, ...]) -> Limits:
    given = dict(_pair("limit", text) for text in texts)
    known = asdict(Limits())
    for name, value in given.items():
        if name not in known or not isinstance(value, int):
            raise BadField(field="limit", reason=f"{name} must be one of {', '.join(known)}, with a number")
    return Limits(**{**known, **given})


# --- pausing -------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("slug")
@click.pass_obj
def pause(session: Session, slug: str) -> None:
    """Keep a route's mail in the queue until it is resumed."""
    with session.opened() as installation, installation.database.write() as tx:
        pause_route(tx, slug, installation.clock.now())
    session.show_done({"route": slug, "paused": True}, f"The route {slug} is paused.", f"Vägen {slug} är pausad.")


@command.command()
@click.argument("slug")
@click.pass_obj
def resume(session: Session, slug: str) -> None:
    """Let a paused route's mail out again."""
    with session.opened() as installation, installation.database.write() as tx:
        pause_route(tx, slug, None)
    session.show_done({"route": slug, "paused": False}, f"The route {slug} is open.", f"Vägen {slug} är öppen.")


# --- assigning -----------------------------------------------------------------------------------------------------


@command.command()
@click.argument("slug", metavar="ROUTE")
@click.option("--customer", help="Whose mail; without it, that of everyone who has no other.")
@click.option("--product", help="From which product; without it, from every one.")
@dry_run_option
@click.pass_obj
def assign(session: Session, slug: str, customer: str | None, product: str | None, dry_run: bool) -> None:
    """Say whose mail takes ROUTE.

    That of a customer, that from a product, or that of the customer from the product. What is in the queue follows.
    """
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        who, what = _of_whom(tx, customer, product)
        route = _route(load_facts(tx), slug)
        if not may_take(route, who):
            raise Misconfigured(reason=f"the route {slug} is another customer's own")
        changed = assign_route(tx, _id(who), _id(what), route.id, installation.clock.now())
    values = {"customer": customer, "product": product, "route": slug, "change": Done.CHANGED if changed else Done.SAME}
    session.show_done(
        {**values, "dry_run": dry_run}, f"{_named(customer, product)}: {slug}.", f"{_named(customer, product)}: {slug}."
    )


@command.command()
@click.option("--customer", help="Whose mail; without it, everyone's.")
@click.option("--product", help="From which product; without it, from every one.")
@dry_run_option
@click.pass_obj
def unassign(session: Session, customer: str | None, product: str | None, dry_run: bool) -> None:
    """Take an assignment away; the one behind it decides again."""
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        who, what = _of_whom(tx, customer, product)
        if not unassign_route(tx, _id(who), _id(what)):
            raise NotFound(kind="assignment", name=_named(customer, product))
    values = {"customer": customer, "product": product, "change": Done.REMOVED, "dry_run": dry_run}
    session.show_done(values, f"{_named(customer, product)}: removed.", f"{_named(customer, product)}: borttagen.")


def _of_whom(tx: Transaction, customer: str | None, product: str | None) -> tuple[Customer | None, Product | None]:
    if not (customer or product):
        raise click.UsageError("Name a --customer, a --product, or both.")
    directory = load_directory(tx)
    return directory.customer(customer) if customer else None, directory.product(product) if product else None


def _id(one: Customer | Product | None) -> int | None:
    return one.id if one else None


def _named(customer: str | None, product: str | None) -> str:
    return f"{customer or '*'} / {product or '*'}"


# --- explaining ----------------------------------------------------------------------------------------------------


@command.command("explain")
@click.option("--customer", required=True, help="Whose mail.")
@click.option("--product", required=True, help="From which product.")
@click.option("--to", required=True, help="The recipient's address.")
@click.option(
    "--from", "sender", default="", help="The sender's address; without it, one in the customer's first domain."
)
@click.option("--important", is_flag=True, help="As important mail, which no brownout holds.")
@click.option("--bulk", is_flag=True, help="As bulk mail, which the customer's own cap may hold.")
@click.pass_obj
def explain_(session: Session, customer: str, product: str, to: str, sender: str, important: bool, bulk: bool) -> None:
    """Say which way a mail would take, which rule says so, and until when. With --at: at that moment."""
    recipient = parse_address(to)
    with session.opened() as installation, installation.database.read() as tx:
        directory, facts, now = load_directory(tx), load_facts(tx), installation.clock.now()
        who, what = directory.customer(customer), directory.product(product)
        domains = load_ownership(tx).of(who.id)
    domain = parse_address(sender).domain if sender else next((one.name for one in domains), "")
    decision = decide(
        facts, who.id, what.id, now, recipient=str(recipient), sender_domain=domain, important=important, bulk=bulk
    )
    if who.suspended:  # which submission asks before it asks for the way
        decision = Decision(Action.REFUSE, None, "customer_suspended")
    _show_decision(session, decision, now)


def _show_decision(session: Session, decision: Decision, now: datetime) -> None:
    def shown(moment: datetime | None) -> object:
        if moment is None or not session.as_json:
            return moment
        return moment.astimezone(STOCKHOLM).isoformat(timespec="seconds")

    words = explain(decision)
    values = {
        "action": decision.action,
        "route": decision.route.slug if decision.route and decision.action is Action.SEND else None,
        "reason": decision.reason,
        "warnings": list(decision.warnings),
        "since": shown(decision.since),
        "until": shown(decision.until),  # exclusive: the first moment at which it does not hold any more
        "campaign": decision.campaign.slug if decision.campaign else None,
        "at": shown(now),
    }
    if session.as_json:
        session.show_json({**values, "sv": words["sv"], "en": words["en"]})
    else:
        session.show_one({name: value for name, value in values.items() if value not in (None, [])})
        session.show_line(words[session.language], hanging=0)
