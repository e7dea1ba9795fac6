"""`ombud usage`: how many e-mails were handed over."""

from __future__ import annotations

import re
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.cli.session import Group, Session
from ombud.clock import month_of
from ombud.routing import Facts, load_facts
from ombud.usage import UsageLine, usage_of

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


@click.group("usage", cls=Group)
def command() -> None:
    """How many e-mails were handed over."""


@command.command()
@click.option("--customer", required=True, help="Whose.")
@click.option("--month", help="Such as 2024-04; the default is this month.")
@click.pass_obj
def show(session: Session, customer: str, month: str | None) -> None:
    """Show what a customer's mail in a month came to, by product and route; one e-mail is one recipient handed over."""
    if month and not _MONTH.fullmatch(month):
        raise click.BadParameter("write it as 2024-04", param_hint="--month")
    with session.opened() as installation, installation.database.read() as tx:
        directory, facts = load_directory(tx), load_facts(tx)
        period = month or month_of(installation.clock.now())
        lines = usage_of(tx, directory.customer(customer).id, period)
    _show(session, customer, period, lines, directory, facts)


def _show(
    session: Session, customer: str, month: str, lines: list[UsageLine], directory: Directory, facts: Facts
) -> None:
    rows = _rows(lines, directory, facts)
    total = {
        "customer": customer,
        "month": month,
        **{name: sum(row[name] for row in rows) for name in ("emails", "billable")},
    }
    if session.as_json:
        session.show_json({**total, "lines": rows})
    else:
        session.show_rows(rows, "product", "route", "emails", "billable")
        session.show_one(total)


def _rows(lines: list[UsageLine], directory: Directory, facts: Facts) -> list[dict[str, Any]]:
    """One for each product and route; `billable` says how many of the e-mails are."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for line in lines:
        product, route = directory.product_by_id(line.product_id).slug, facts.routes[line.route_id].slug
        row = rows.setdefault(
            (line.product_id, line.route_id), {"product": product, "route": route, "emails": 0, "billable": 0}
        )
        row["emails"] += line.emails
        row["billable"] += line.emails if line.billable else 0
    return list(rows.values())
