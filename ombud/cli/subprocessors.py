"""`ombud subprocessors`: the register of sub-processors, with what customers were told and what they objected (GDPR art. 28(2))."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.apply import Done, check_slug
from ombud.campaigns.register import Told, load_told
from ombud.choices import load_choices
from ombud.choices.subprocessors import (
    Objection,
    Subprocessor,
    answer_objection,
    object_to,
    objections,
    put_subprocessor,
    subprocessor,
    subprocessors,
)
from ombud.cli.operator import by_option
from ombud.cli.session import NUMBER, Group, Session

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group("subprocessors", cls=Group)
def command() -> None:
    """The register of sub-processors: who handles customers' data, and what they were told of it."""


@command.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List the register with how many customers were told and how many object."""
    with session.opened() as installation, installation.database.read() as tx:
        found = subprocessors(tx)
        told = {one.slug: load_told(tx, one) for one in found}
        against = {one.slug: objections(tx, one.slug) for one in found}
    rows = [
        {
            **_about(one),
            "customers": len(told[one.slug]),
            "told": sum(told_one.arrived_at is not None for told_one in told[one.slug]),
            "objections": len(against[one.slug]),
            "unanswered": sum(objection.answered_at is None for objection in against[one.slug]),
        }
        for one in found
    ]
    session.show_rows(
        rows, "slug", "name", "replaces", "place", "notice_date", "object_until", "from_date", "told", "objections", "unanswered",
        spare=("place", "object_until", "name"),
    )  # fmt: skip


@command.command()
@click.argument("slug")
@click.pass_obj
def show(session: Session, slug: str) -> None:
    """Show an entry: its dates, every objection with its answer, and what each customer was told and when."""
    with session.opened() as installation, installation.database.read() as tx:
        entry, directory = subprocessor(tx, slug), load_directory(tx)
        told = [_told(one) for one in load_told(tx, entry)]
        against = [_objection(directory, one) for one in objections(tx, slug)]
    if session.as_json:
        session.show_json({**_about(entry), "objections": against, "told": told})
        return
    session.show_one({**_about(entry), "task": entry.task[session.language]})
    click.echo(session.say("\nObjections", "\nInvändningar"))
    session.show_rows(against, "number", "customer", "at", "by", "text", "answered_at", "answer", spare=("by",))
    click.echo(session.say("\nTold", "\nUnderrättade"))
    session.show_rows(told, "customer", "letter", "address", "sent_at", "arrived_at", spare=("address",))


@command.command()
@click.argument("slug")
@click.option("--name", required=True, help="The sub-processor's name.")
@click.option("--owner", default="", help="The company behind it.")
@click.option("--replaces", default="", help="Whose place it takes; nothing said: it is added.")
@click.option("--place", default="", help="Where it handles the data.")
@click.option("--task-sv", required=True, help="What it does with whose data, in Swedish.")
@click.option("--task-en", required=True, help="The same in English.")
@click.option("--notice-date", type=_DAY, required=True, help="When the customers are told.")
@click.option("--object-until", type=_DAY, required=True, help="The last day to object in time.")
@click.option("--from-date", type=_DAY, required=True, help="When it may begin.")
@click.option("--campaign", default="", help="The campaign whose letters tell of it.")
@click.pass_obj
def add(
    session: Session, slug: str, name: str, owner: str, replaces: str, place: str, task_sv: str, task_en: str,
    notice_date: datetime, object_until: datetime, from_date: datetime, campaign: str,
) -> None:  # fmt: skip
    """Add an entry to the register, or bring the one of that SLUG up to date."""
    check_slug(slug)
    days = notice_date.date(), object_until.date(), from_date.date()
    entry = Subprocessor(slug, name, *days, owner, replaces, place, {"sv": task_sv, "en": task_en}, campaign)
    with session.opened() as installation, installation.database.write() as tx:
        if campaign:
            load_choices(tx).campaign(campaign)
        known = {one.slug: one for one in subprocessors(tx)}.get(slug)
        done = Done.of(known, put_subprocessor(tx, entry, installation.clock.now()))
    session.show_done({"subprocessor": slug, "change": done}, f"{slug}: {done}.", f"{slug}: {done}.")


@command.command("object")
@click.argument("slug")
@click.option("--customer", metavar="SLUG", required=True, help="Who objects.")
@click.option("--text", required=True, help="What they say.")
@click.option("--by", required=True, help="Who at the customer said it.")
@click.pass_obj
def object_(session: Session, slug: str, customer: str, text: str, by: str) -> None:
    """Record a customer's objection, dated now."""
    with session.opened() as installation, installation.database.write() as tx:
        directory = load_directory(tx)
        made = object_to(tx, slug, directory.customer(customer), text, by, installation.clock.now())
    session.show_done(
        _objection(directory, made),
        f"Objection {made.id} is recorded. Answer it: ombud subprocessors answer {made.id} --text ...",
        f"Invändning {made.id} är antecknad. Besvara den: ombud subprocessors answer {made.id} --text ...",
    )


@command.command()
@click.argument("number", type=NUMBER)
@click.option("--text", required=True, help="The answer.")
@by_option
@click.pass_obj
def answer(session: Session, number: int, text: str, by: str) -> None:
    """Record the answer to an objection, once."""
    with session.opened() as installation, installation.database.write() as tx:
        directory = load_directory(tx)
        done = answer_objection(tx, number, text, by, installation.clock.now())
    session.show_done(
        _objection(directory, done), f"Objection {number} is answered.", f"Invändning {number} är besvarad."
    )


def _about(one: Subprocessor) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value or None for name, value in asdict(one).items()
    }


def _objection(directory: Directory, one: Objection) -> dict[str, Any]:
    return {
        "number": one.id,
        "subprocessor": one.subprocessor,
        "customer": directory.customer_by_id(one.customer_id).slug,
        "at": one.at,
        "by": one.by,
        "text": one.text,
        "answered_at": one.answered_at,
        "answered_by": one.answered_by or None,
        "answer": one.answer or None,
    }


def _told(one: Told) -> dict[str, Any]:
    return {
        "customer": one.customer.slug,
        "letter": one.letter or None,
        "version": one.version or None,
        "address": one.address or None,
        "sent_at": one.sent_at,
        "arrived_at": one.arrived_at,
    }
