"""`ombud products`: the vendor's programs, which submit the mail."""

from __future__ import annotations

import click

from ombud.accounts import load_directory, put_product
from ombud.apply import Done, check_slug, check_text
from ombud.cli.session import Group, Session
from ombud.routing import load_facts


@click.group("products", cls=Group)
def command() -> None:
    """The vendor's programs, which submit the mail."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the products, each with the route of those customers that have no other."""
    with session.opened() as installation, installation.database.read() as tx:
        products, facts = load_directory(tx).products, load_facts(tx)
    routes = {product: facts.routes[route].slug for (who, product), route in facts.assigned.items() if who is None}
    rows = [{"slug": one.slug, "name": one.name, "route": routes.get(one.id)} for one in products.values()]
    session.show_rows(rows, "slug", "name", "route")


@command.command()
@click.argument("slug")
@click.option("--name", required=True, help="What people call it.")
@click.pass_obj
def add(session: Session, slug: str, name: str) -> None:
    """Add a product, or rename the one of that SLUG. `ombud routes assign --product` gives it a route."""
    check_slug(slug)
    check_text("name", name)
    with session.opened() as installation, installation.database.write() as tx:
        before = load_directory(tx).products.get(slug)
        changed = put_product(tx, slug, name, installation.clock.now())
    done = Done.of(before, changed)
    session.show_done({"product": slug, "change": done}, f"The product {slug}: {done}.", f"Produkten {slug}: {done}.")
