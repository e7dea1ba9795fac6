"""`ombud people`: who is written to at the customers and at the vendor, and who may choose for a company."""

from __future__ import annotations

from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.accounts.people import Person, Role, load_people, mark_bounced, people_of, put_person, remove_person
from ombud.cli.session import NUMBER, Group, Session, choice_of, yes_option
from ombud.errors import NotFound


@click.group("people", cls=Group)
def command() -> None:
    """Who is written to at the customers, and who may choose."""


@command.command("list")
@click.option("--customer", help="Only this customer's.")
@click.option("--vendor", is_flag=True, help="Only the vendor's own.")
@click.option("--role", type=choice_of(Role), help="Only these.")
@click.option("--bounced", is_flag=True, help="Only those whose letters come back: find out who to write to instead.")
@click.pass_obj
def list_(session: Session, customer: str | None, vendor: bool, role: str | None, bounced: bool) -> None:
    """List the people."""
    if customer and vendor:
        raise click.UsageError("Give --customer or --vendor, not both.")
    with session.opened() as installation, installation.database.read() as tx:
        directory = load_directory(tx)
        wanted = (
            people_of(tx, directory.customer(customer).id if customer else None)
            if customer or vendor
            else load_people(tx)
        )
    rows = [
        _about(directory, one)
        for one in wanted
        if (role is None or one.role == role) and (not bounced or one.bounced_at is not None)
    ]
    session.show_rows(
        rows, "id", "customer", "name", "email", "phone", "role", "may_choose", "bounced_at", spare=("phone", "role")
    )


@command.command()
@click.option("--customer", help="Whose; without it the person is the vendor's own.")
@click.option("--name", required=True, help="The person's name; letters greet by the first part of it.")
@click.option("--email", required=True, help="Where letters go.")
@click.option("--phone", default="", help="For the phone list.")
@click.option(
    "--role",
    type=choice_of(Role),
    default=Role.CONTACT.value,
    show_default=True,
    help="What the person is to the customer.",
)
@click.option("--may-choose", is_flag=True, help="May choose for the company in campaigns.")
@click.option(
    "--language", type=click.Choice(["sv", "en"]), default="sv", show_default=True, help="What letters are written in."
)
@click.pass_obj
def add(
    session: Session, customer: str | None, name: str, email: str, phone: str, role: str, may_choose: bool, language: str
) -> None:  # fmt: skip
    """Add a person, or bring the one with that address and role up to date; letters to the address are tried again."""
    if may_choose and not customer:
        raise click.UsageError("Who may choose does so for a customer: name it with --customer.")
    with session.opened() as installation, installation.database.write() as tx:
        directory, now = load_directory(tx), installation.clock.now()
        person = put_person(
            tx, directory.customer(customer).id if customer else None, name, email, now,
            role=Role(role), may_choose=may_choose, phone=phone, language=language,
        )  # fmt: skip
        mark_bounced(tx, person.id, None)
    session.show_done(
        _about(directory, person),
        f"{person.name} <{person.email}> is number {person.id}.",
        f"{person.name} <{person.email}> har nummer {person.id}.",
    )


@command.command()
@click.argument("number", type=NUMBER)
@yes_option
@click.pass_obj
def remove(session: Session, number: int, yes: bool) -> None:
    """Write to person NUMBER no more; its links stop working, and what it has chosen stays."""
    with session.opened() as installation:
        session.confirm(yes, f"Write to number {number} no more?", f"Skriv inte mer till nummer {number}?")
        with installation.database.write() as tx:
            person = remove_person(tx, number, installation.clock.now())
    session.show_done({"id": number, "email": person.email, "change": "removed"}, f"{person.email} is removed.", f"{person.email} är borttagen.")  # fmt: skip


def find_person(people: list[Person], who: str) -> Person:
    """The one of that number or address. Raises NotFound."""
    for one in people:
        if who in (str(one.id), one.email):
            return one
    raise NotFound(kind="person", name=who)


def _about(directory: Directory, person: Person) -> dict[str, Any]:
    return {
        "id": person.id, "customer": directory.customer_by_id(person.customer_id).slug if person.customer_id else None,
        "name": person.name, "email": person.email, "phone": person.phone or None, "role": person.role,
        "may_choose": person.may_choose, "language": person.language, "bounced_at": person.bounced_at,
    }  # fmt: skip
