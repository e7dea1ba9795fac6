"""The verbs of `ombud billing` that say who pays, by which plan, and how it is invoiced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

import click

from ombud.cli.operator import by_option
from ombud.cli.session import Command, Group, Session
from ombud.clock import day_of

F = TypeVar("F", bound=Callable[..., Any])


def _day(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise click.BadParameter("write it as 2024-05-31") from error


@click.command(cls=Command)
@click.option("--customer", required=True, help="Who.")
@click.option("--plan", required=True, metavar="SLUG", help="By which price plan.")
@click.option("--day", callback=_day, metavar="DAY", help="From which day on; the default is today.")
@click.option("--reason", required=True, help="Why it is done by hand: going live in a campaign does it by itself.")
@by_option
@click.pass_obj
def start(session: Session, customer: str, plan: str, day: date | None, reason: str, by: str) -> None:
    """Let a customer pay by a price plan from a day on."""
    from ombud.accounts import load_directory
    from ombud.billing import subscriptions
    from ombud.billing.planbook import load_plans

    with session.opened() as installation, installation.database.write() as tx:
        now = installation.clock.now()
        since = day or day_of(now)
        load_plans(tx).plan(plan, since)
        who = load_directory(tx).customer(customer)
        changed = subscriptions.start(tx, who.id, plan, since, now, by=by, reason=reason)
    session.show_done(
        {"customer": customer, "plan": plan, "from": str(since), "changed": changed},
        f"{customer} pays by {plan} from {since}." if changed else f"{customer} pays by {plan} already.",
        f"{customer} betalar enligt {plan} från {since}." if changed else f"{customer} betalar redan enligt {plan}.",
    )


@click.command(cls=Command)
@click.option("--customer", required=True, help="Who.")
@click.option("--day", callback=_day, metavar="DAY", help="The last day that is paid for; the default is today.")
@click.option("--reason", required=True, help="Why it is done by hand: leaving an alternative does it by itself.")
@by_option
@click.pass_obj
def stop(session: Session, customer: str, day: date | None, reason: str, by: str) -> None:
    """Let a customer pay by no price plan any more."""
    from ombud.accounts import load_directory
    from ombud.billing import subscriptions

    with session.opened() as installation, installation.database.write() as tx:
        now = installation.clock.now()
        last = day or day_of(now)
        who = load_directory(tx).customer(customer)
        changed = subscriptions.stop(tx, who.id, last, now, by=by, reason=reason)
    session.show_done(
        {"customer": customer, "until": str(last), "changed": changed},
        f"{customer} pays up to and including {last}." if changed else f"{customer} pays by no plan.",
        f"{customer} betalar till och med {last}." if changed else f"{customer} betalar inte enligt någon plan.",
    )


@click.command(cls=Command)
@click.argument("customer")
@click.option("--emails", type=click.IntRange(min=1), help="At most so many e-mails a month.")
@click.option(
    "--hard",
    is_flag=True,
    help="When they are used up, hold bulk mail for the rest of the month; important mail is never held.",
)
@click.option("--remove", is_flag=True, help="No cap any more; what was held leaves.")
@by_option
@click.pass_obj
def cap(session: Session, customer: str, emails: int | None, hard: bool, remove: bool, by: str) -> None:
    """Set a CUSTOMER's cap on e-mails a month, which raises an alarm; or take it away."""
    from ombud.accounts import load_directory
    from ombud.billing.alarms import remove_cap, set_cap

    if (emails is None) != remove:
        raise click.UsageError("Give --emails, or --remove.")
    with session.opened() as installation, installation.database.write() as tx:
        who = load_directory(tx).customer(customer)
        if emails is None:
            remove_cap(tx, who.id)
        else:
            set_cap(tx, who.id, emails, installation.clock.now(), by, hard=hard)
    session.show_done(
        {"customer": customer, "emails": emails, "hard": hard},
        f"{customer}: at most {emails} e-mails a month." if emails else f"{customer}: no cap.",
        f"{customer}: högst {emails} mejl i månaden." if emails else f"{customer}: inget tak.",
    )


# --- payers --------------------------------------------------------------------------------------------------------


@click.group(cls=Group)
def payer() -> None:
    """How a customer wants to be invoiced."""


@payer.command("show")
@click.argument("customer")
@click.pass_obj
def payer_show(session: Session, customer: str) -> None:
    """Show how a CUSTOMER is invoiced."""
    from ombud.accounts import load_directory
    from ombud.billing.parties import PAYER_FIELDS, payer_of

    with session.opened() as installation, installation.database.read() as tx:
        who = load_directory(tx).customer(customer)
        found = payer_of(tx, who.id)
    values = {name: getattr(found, name) or None for name in PAYER_FIELDS}
    session.show_one({"customer": customer, "name": who.name, "org_number": who.org_number or None, **values})


#: From an option to what it says of a payer.
_PAYER_OPTIONS = {
    "reference": "Their reference (er referens): public buyers cannot be invoiced without one.",
    "endpoint": "The e-invoice address, such as 0007:5566778899; the default is the organisation number's.",
    "order_number": "Their order number.",
    "cost_center": "Their cost centre.",
    "number": "Their number in the vendor's ledger.",
    "vat_number": "The VAT number, where it is not the organisation number's.",
    "street": "The address for invoices.",
    "extra": "A second line of the address.",
    "postal_code": "The postal code.",
    "city": "The city.",
    "country": "The country, in two letters.",
    "contact": "Who looks at the invoices.",
    "email": "Where invoices are sent.",
}


def _payer_options(function: F) -> F:
    for name, told in reversed(_PAYER_OPTIONS.items()):
        function = click.option(f"--{name.replace('_', '-')}", name, help=told)(function)
    return function


@payer.command("set")
@click.argument("customer")
@_payer_options
@click.pass_obj
def payer_set(session: Session, /, customer: str, **given: str | None) -> None:
    """Say how a CUSTOMER wants to be invoiced. What is not given stays; an empty value takes it away."""
    from ombud.accounts import load_directory
    from ombud.billing.parties import payer_of, put_payer

    with session.opened() as installation, installation.database.write() as tx:
        who = load_directory(tx).customer(customer)
        changes = {name: value.strip() for name, value in given.items() if value is not None}
        changed = put_payer(tx, who.id, replace(payer_of(tx, who.id), **changes))
    session.show_done(
        {"customer": customer, **changes, "changed": changed},
        f"{customer}: {'changed' if changed else 'as before'}.",
        f"{customer}: {'ändrad' if changed else 'som förut'}.",
    )
