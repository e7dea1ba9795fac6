"""`ombud billing`: what alternative 2 costs, who pays by which plan, and the months on their way to the invoices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ombud.cli.billing_export import export, exports
from ombud.cli.closing import credit, lock, month, months, preview, reconcile, show
from ombud.cli.paying import cap, payer, start, stop
from ombud.cli.session import Group, Session
from ombud.clock import day_of, month_of

if TYPE_CHECKING:
    from ombud.billing.price import Priced
    from ombud.billing.statement import Statement

F = TypeVar("F", bound=Callable[..., Any])


@click.group("billing", cls=Group)
def command() -> None:
    """What alternative 2 costs, and the months on their way to the invoices."""


for _verb in (start, stop, cap, payer, months, preview, lock, show, credit, reconcile, export, exports):
    command.add_command(_verb)


def _period_option(function: F) -> F:
    return click.option(
        "--period", callback=month, metavar="MONTH", help="Such as 2024-04; the default is this month."
    )(function)


# --- prices --------------------------------------------------------------------------------------------------------


@command.command()
@click.option("--plan", required=True, metavar="SLUG", help="Which price plan.")
@click.option("--emails", required=True, type=click.IntRange(min=0), help="How many e-mails in the month.")
@click.option("--customer", help="With what has been agreed with this customer.")
@_period_option
@click.pass_obj
def price(session: Session, plan: str, emails: int, customer: str | None, period: str | None) -> None:
    """Say what so many e-mails in a month cost."""
    from ombud.accounts import load_directory
    from ombud.billing.planbook import load_plans
    from ombud.billing.price import price as priced_by
    from ombud.clock import month_days

    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        who = load_directory(tx).customer(customer).id if customer else None
        day = month_days(period)[0] if period else day_of(now)
        version = load_plans(tx).plan(plan, day, who)
    priced = priced_by(version, emails, period or month_of(now))
    values = {"plan": plan, "emails": emails, **_sums(priced), "lines": _lines(session, priced.lines)}
    if session.as_json:
        session.show_json(values)
    else:
        _show_lines(session, values)


def _sums(priced: Priced | Statement) -> dict[str, Any]:
    return {"net": str(priced.net), "vat": str(priced.vat), "total": str(priced.total), "currency": priced.currency}


def _lines(session: Session, lines: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "article": one.article,
            "text": one.text(session.language),
            "quantity": one.quantity.number,
            "unit": one.quantity.unit,
            "unit_price": str(one.unit_price),
            "net": str(one.net),
            "vat_rate": f"{one.vat_rate:f}",
        }
        for one in lines
    ]


def _show_lines(session: Session, values: dict[str, Any]) -> None:
    """For a person: the lines as a table, then the rest."""
    session.show_rows(values["lines"], "text", "quantity", "unit_price", "net", spare=("unit_price",))
    session.show_one({name: value for name, value in values.items() if name != "lines"})


@command.command()
@click.argument("slug", required=False)
@click.pass_obj
def plans(session: Session, slug: str | None) -> None:
    """List the price plans with their versions and what was agreed with customers. They are put there by `ombud apply`."""
    from ombud.accounts import load_directory
    from ombud.billing.planbook import load_plans
    from ombud.errors import NotFound

    with session.opened() as installation, installation.database.read() as tx:
        found, directory = load_plans(tx), load_directory(tx)
    if slug and slug not in found.versions:
        raise NotFound(kind="price plan", name=slug)
    rows: list[dict[str, Any]] = []
    for versions in (found.versions[name] for name in sorted(found.versions) if slug in (None, name)):
        for one in versions:
            rows.append({
                "plan": one.slug, "customer": None, "valid_from": str(one.valid_from), "valid_until": _text(one.valid_until),
                "fixed_fee": str(one.fixed_fee), "included": one.included, "price": str(one.price), "currency": one.currency,
                "proration": one.proration, "approved_by": None, "reason": None,
            })  # fmt: skip
    for (name, customer_id), agreements in sorted(found.agreements.items()):
        for agreed in agreements if slug in (None, name) else ():
            rows.append({
                "plan": name, "customer": directory.customer_by_id(customer_id).slug, "valid_from": str(agreed.valid_from),
                "valid_until": _text(agreed.valid_until), "fixed_fee": _text(agreed.fixed_fee), "included": agreed.included,
                "price": _text(agreed.price), "currency": found.versions[name][-1].currency, "proration": None,
                "approved_by": agreed.approved_by, "reason": agreed.reason,
            })  # fmt: skip
    columns = (
        "plan",
        "customer",
        "valid_from",
        "valid_until",
        "fixed_fee",
        "included",
        "price",
        "currency",
        "approved_by",
    )
    session.show_rows(rows, *columns, spare=("currency", "approved_by", "valid_until"))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@command.command()
@click.option("--customer", required=True, help="Whose mail.")
@click.option(
    "--plan", metavar="SLUG", help="Under which price plan; the default is the one that the customer pays by."
)
@click.option("--campaign", metavar="SLUG", help="Compare what the alternatives of this campaign would have cost.")
@click.option(
    "--months", "number", default=12, show_default=True, type=click.IntRange(1, 60), help="So many whole months back."
)
@click.pass_obj
def whatif(session: Session, customer: str, plan: str | None, campaign: str | None, number: int) -> None:
    """Price a customer's last months under a plan, at today's prices; or under each alternative of a campaign."""
    from ombud.accounts import load_directory
    from ombud.billing.subscriptions import running_of
    from ombud.billing.whatif import estimate
    from ombud.errors import BadField

    if campaign:
        _compared(session, customer, campaign, number)
        return
    with session.opened() as installation, installation.database.read() as tx:
        who = load_directory(tx).customer(customer)
        running = running_of(tx, who.id)
        if not (slug := plan or (running.plan if running else "")):
            raise BadField(field="plan", reason=f"{customer} pays by no plan; name one with --plan")
        found = estimate(tx, who.id, slug, installation.clock.now(), months=number)
    rows = [{"period": period, "emails": one.emails, **_sums(one)} for period, one in found.months.items()]
    totals = {
        "customer": customer, "plan": slug, "months": len(rows), "emails_a_month": found.emails_a_month, "net": str(found.net),
        "total": str(found.total),
    }  # fmt: skip
    if session.as_json:
        session.show_json({**totals, "lines": rows})
    else:
        session.show_rows(rows, "period", "emails", "net", "vat", "total")
        session.show_one(totals)


def _compared(session: Session, customer: str, slug: str, number: int) -> None:
    from ombud.accounts import load_directory
    from ombud.billing.whatif import compare
    from ombud.choices import load_choices

    with session.opened() as installation, installation.database.read() as tx:
        who, campaign = load_directory(tx).customer(customer), load_choices(tx).campaign(slug)
        plans = {one.slug: campaign.plan_of(one) for one in campaign.alternatives}
        found = compare(tx, who.id, plans, installation.clock.now(), months=number)
    rows = [
        {
            "alternative": name, "plan": plans[name] or None, "months": len(one.emails), "emails_a_month": one.emails_a_month,
            "net": str(one.net), "total": str(one.total),
        }
        for name, one in found.items()
    ]  # fmt: skip
    session.show_rows(rows, "alternative", "plan", "months", "emails_a_month", "net", "total")


# --- what customers use --------------------------------------------------------------------------------------------


@command.command()
@_period_option
@click.pass_obj
def usage(session: Session, period: str | None) -> None:
    """Show each customer's month so far: e-mails, what is included, and what it costs."""
    from ombud.billing.drafts import drafts, load_facts

    with session.opened() as installation, installation.database.read() as tx:
        period = period or month_of(installation.clock.now())
        found = list(drafts(load_facts(tx, period)))
    rows = [
        {
            "customer": one.customer.slug,
            "period": period,
            "emails": one.emails,
            "included": one.priced.included if one.priced else 0,
            "net": str(one.basis.net) if one.basis else "0.00",
            "currency": one.basis.currency if one.basis else None,
        }
        for one in found
    ]
    session.show_rows(rows, "customer", "emails", "included", "net", "currency", spare=("currency",))


@command.command()
@click.option("--customer", required=True, help="Whose.")
@_period_option
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write the day curve to this file.")
@click.option(
    "--counted",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the ids of all counted messages to this CSV file.",
)
@click.pass_obj
def statement(session: Session, customer: str, period: str | None, svg: Path | None, counted: Path | None) -> None:
    """Show what a customer's month costs, what was counted and what was not."""
    from ombud.accounts import load_directory
    from ombud.billing import chart
    from ombud.billing.statement import counted_csv
    from ombud.billing.statement import statement as stated

    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        who = load_directory(tx).customer(customer)
        shown = stated(tx, who, period or month_of(now), now)
        if counted:
            with counted.open("w", encoding="utf-8", newline="") as file:
                file.writelines(counted_csv(tx, who.id, shown.period))
    if svg:
        svg.write_text(chart.svg(shown, session.language), "utf-8")
    values = _about(session, shown)
    if session.as_json:
        session.show_json(values)
        return
    _show_lines(
        session, {name: value for name, value in values.items() if name not in ("days", "by_product", "not_counted")}
    )
    session.show_one({"by_product": shown.by_product, "not_counted": dict(shown.not_counted)})
    session.show_rows(
        [{"day": str(one.day), "emails": one.emails, "total": one.total} for one in shown.days],
        "day",
        "emails",
        "total",
    )


def _about(session: Session, shown: Statement) -> dict[str, Any]:
    return {
        "customer": shown.customer.slug,
        "period": shown.period,
        "invoice": shown.number or None,
        "plan": shown.plan or None,
        "emails": shown.emails,
        "included": shown.included,
        "over": shown.over,
        **_sums(shown),
        "lines": _lines(session, shown.lines),
        "by_product": dict(shown.by_product),
        "not_counted": dict(shown.not_counted),
        "projection": {"emails": shown.projection.emails, "net": str(shown.projection.net)}
        if shown.projection
        else None,
        "cap": {"emails": shown.cap.emails, "hard": shown.cap.hard} if shown.cap else None,
        "alarms": [one.level for one, _ in shown.alarms],
        "credits": [one.basis.number for one in shown.credits],
        "days": [{"day": str(one.day), "emails": one.emails, "total": one.total} for one in shown.days],
    }
