"""`ombud credentials`: what the products submit with."""

from __future__ import annotations

import click

from ombud.accounts import Mode, create_credential, load_directory, revoke_credential
from ombud.cli.session import Group, Session, choice_of, yes_option


@click.group("credentials", cls=Group)
def command() -> None:
    """What the products submit with."""


@command.command("list")
@click.option("--customer", help="Only those of this customer.")
@click.option("--product", help="Only those of this product.")
@click.pass_obj
def list_(session: Session, customer: str | None, product: str | None) -> None:
    """List the credentials that are not revoked. Their secrets are not kept, and cannot be shown."""
    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
    of_customer = directory.customer(customer).id if customer else None
    of_product = directory.product(product).id if product else None
    rows = [
        {
            "handle": one.handle,
            "product": directory.product_by_id(one.product_id).slug,
            "customer": directory.customer_by_id(one.customer_id).slug if one.customer_id is not None else None,
            "mode": one.mode,
        }
        for one in directory.credentials.values()
        if of_customer in (None, one.customer_id) and of_product in (None, one.product_id)
    ]
    session.show_rows(rows, "handle", "product", "customer", "mode")


@command.command()
@click.option("--product", required=True, help="Which product submits with it.")
@click.option("--customer", help="For this customer only; without it, for every customer of the product.")
@click.option(
    "--mode", type=choice_of(Mode), default=Mode.LIVE.value, show_default=True, help="Test mail never leaves."
)
@click.option("--note", default="", help="What it is for.")
@click.pass_obj
def create(session: Session, product: str, customer: str | None, mode: str, note: str) -> None:
    """Make a credential. Its secret is shown now, and never again."""
    with session.opened() as installation, installation.database.write() as tx:
        directory = load_directory(tx)
        who = directory.customer(customer) if customer else None
        made = create_credential(tx, directory.product(product), who, Mode(mode), installation.clock.now(), note)
    session.show_one(
        {
            "handle": made.handle,
            "product": product,
            "customer": customer,
            "mode": made.mode,
            "smtp_user": made.handle,
            "smtp_password": made.secret,
            "api_key": made.api_key,
        }
    )


@command.command()
@click.argument("handle")
@yes_option
@click.pass_obj
def revoke(session: Session, handle: str, yes: bool) -> None:
    """Refuse a credential from now on."""
    with session.opened() as installation:
        session.confirm(yes, f"Refuse {handle} from now on?", f"Neka {handle} från och med nu?")
        with installation.database.write() as tx:
            revoke_credential(tx, handle, installation.clock.now())
    session.show_done({"handle": handle, "revoked": True}, f"{handle} is revoked.", f"{handle} är återkallad.")
