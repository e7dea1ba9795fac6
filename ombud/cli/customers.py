"""`ombud customers`: the companies that mail is sent for."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import click

from ombud.accounts import Customer, Directory, load_directory, put_customer, suspend_customer
from ombud.apply import Done, checked_customer
from ombud.cli.session import Group, Session, yes_option
from ombud.domains import load_ownership
from ombud.routing import Facts, decide, load_facts


@click.group("customers", cls=Group)
def command() -> None:
    """The companies that mail is sent for."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the customers."""
    with session.opened() as installation, installation.database.read() as tx:
        customers, ownership = load_directory(tx).customers, load_ownership(tx)
    count = Counter(domain.customer_id for domain in ownership.domains.values())
    rows = [{**_about(customer), "domains": count[customer.id]} for customer in customers.values()]
    session.show_rows(
        rows, "slug", "name", "org_number", "contact_email", "domains", "suspended", spare=("contact_email",)
    )


@command.command()
@click.argument("slug")
@click.pass_obj
def show(session: Session, slug: str) -> None:
    """Show a customer with its domains and credentials, and which way the mail from each product takes."""
    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
        customer = directory.customer(slug)
        values = {
            **_about(customer),
            "domains": [domain.name for domain in load_ownership(tx).of(customer.id)],
            "routes": _routes(load_facts(tx), directory, customer, installation.clock.now()),
            "credentials": [one.handle for one in directory.credentials.values() if one.customer_id == customer.id],
        }
    if session.as_json:
        session.show_json(values)
        return
    routes = values.pop("routes")
    session.show_one(values)
    session.show_rows(routes, "product", "action", "route", "reason", "until", spare=("until",))


def _routes(facts: Facts, directory: Directory, customer: Customer, now: datetime) -> list[dict[str, object]]:
    """Which way mail from each product takes now, and by which rule: what `decide` says."""
    ways = ((product, decide(facts, customer.id, product.id, now)) for product in directory.products.values())
    return [
        {
            "product": product.slug, "action": way.action, "route": way.route.slug if way.route else None,
            "reason": way.reason, "until": way.until,
        }
        for product, way in ways
    ]  # fmt: skip


def _about(customer: Customer) -> dict[str, Any]:
    return {
        "slug": customer.slug,
        "name": customer.name,
        "org_number": customer.org_number,
        "contact_name": customer.contact_name,
        "contact_email": customer.contact_email,
        "language": customer.language,
        "suspended": customer.suspended,
    }


@command.command()
@click.argument("slug")
@click.option("--name", help="The company's name; a new customer needs one.")
@click.option("--org-number", help="Its organisation number, such as 556677-8899.")
@click.option("--contact-name", help="Whom to turn to there.")
@click.option("--contact-email", help="The address to reach that person at.")
@click.option(
    "--language", type=click.Choice(["sv", "en"]), help="The language to write to them in; Swedish if nothing is said."
)
@click.pass_obj
def add(session: Session, /, slug: str, **values: str | None) -> None:
    """Add a customer, or change the one of that SLUG: what is not named stays as it is."""
    with session.opened() as installation, installation.database.write() as tx:
        before = load_directory(tx).customers.get(slug)
        kept = {name: getattr(before, name) if before else _NEW[name] for name in values}
        given = {name: value for name, value in values.items() if value is not None}
        changed = put_customer(tx, slug, now=installation.clock.now(), **checked_customer(slug, {**kept, **given}))
    done = Done.of(before, changed)
    session.show_done({"customer": slug, "change": done}, f"The customer {slug}: {done}.", f"Kunden {slug}: {done}.")


_NEW = {"name": "", "org_number": "", "contact_name": "", "contact_email": "", "language": "sv"}


@command.command()
@click.argument("slug")
@yes_option
@click.pass_obj
def suspend(session: Session, slug: str, yes: bool) -> None:
    """Refuse a customer's mail from now on. What is in the queue still leaves; `ombud queue hold` keeps it."""
    with session.opened() as installation:
        session.confirm(yes, f"Refuse all new mail of {slug}?", f"Neka all ny e-post från {slug}?")
        with installation.database.write() as tx:
            suspend_customer(tx, slug, installation.clock.now())
    session.show_done(
        {"customer": slug, "suspended": True}, f"The customer {slug} is suspended.", f"Kunden {slug} är avstängd."
    )


@command.command()
@click.argument("slug")
@click.pass_obj
def resume(session: Session, slug: str) -> None:
    """Take a suspended customer's mail in again."""
    with session.opened() as installation, installation.database.write() as tx:
        suspend_customer(tx, slug, None)
    session.show_done(
        {"customer": slug, "suspended": False},
        f"The customer {slug} may send again.",
        f"Kunden {slug} får skicka igen.",
    )
