"""The verbs of `ombud billing` that take a month from its preview to the invoices, and what comes after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ombud.cli.operator import by_option
from ombud.cli.session import NOT_OK, Command, Session, text_of, yes_option

if TYPE_CHECKING:
    from ombud.accounts import Directory
    from ombud.billing.basis import Basis
    from ombud.billing.reconcile import Compared, Differing, FindCustomer
    from ombud.db import Transaction

F = TypeVar("F", bound=Callable[..., Any])
_MONTH = re.compile(r"(19|2\d)\d{2}-(0[1-9]|1[0-2])", re.ASCII)
#: So many invoices are shown in a preview; JSON has them all.
_SHOWN = 20


def month(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Reads an option that is a month."""
    if value is not None and not _MONTH.fullmatch(value):
        raise click.BadParameter("write it as 2024-04")
    return value


def period_option(function: F) -> F:
    return click.option(
        "--period", required=True, callback=month, metavar="MONTH", help="Which month, such as 2024-04."
    )(function)


@click.command(cls=Command)
@click.pass_obj
def months(session: Session) -> None:
    """List the months that have been previewed or locked, and how far each has come."""
    from ombud.billing.ledger import periods

    with session.opened() as installation, installation.database.read() as tx:
        found = periods(tx)
    rows = [
        {
            "period": one.period, "state": one.state, "hash": one.hash, "previewed_at": one.previewed_at,
            "locked_at": one.locked_at, "locked_by": one.locked_by or None, "reason": one.reason or None,
            "exported_at": one.exported_at,
        }
        for one in found
    ]  # fmt: skip
    session.show_rows(
        rows, "period", "state", "previewed_at", "locked_at", "locked_by", "exported_at", spare=("previewed_at",)
    )


# --- closing -------------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@period_option
@click.option("--customer", help="Show this customer's invoice with its lines.")
@by_option
@click.pass_obj
def preview(session: Session, period: str, customer: str | None, by: str) -> None:
    """Work a month out and show it: totals, what has changed, what is missing. Exit code 3 when something must be mended."""
    from ombud.billing.close import preview as previewed

    with session.opened() as installation:
        found = previewed(installation.database, period, installation.clock.now(), by)
    invoices = [_invoice(session, one) for one in found.bases if customer in (None, one.buyer.slug)]
    if session.as_json:
        session.show_json({"hash": found.hash, **found.summary, "lines": invoices})
    else:
        _show_preview(session, found.hash, found.summary, invoices, customer)
    if found.summary["red"]:
        raise click.exceptions.Exit(NOT_OK)


def _show_preview(
    session: Session, hashed: str, summary: Mapping[str, Any], invoices: Sequence[dict[str, Any]], customer: str | None
) -> None:
    if customer:
        for one in invoices:
            session.show_rows(one["lines"], "text", "quantity", "unit_price", "net", spare=("unit_price",))
    session.show_rows(invoices[:_SHOWN], "customer", "emails", "net", "vat", "total")
    if len(invoices) > _SHOWN:
        click.echo(session.say(f"... and {len(invoices) - _SHOWN} more", f"... och {len(invoices) - _SHOWN} till"))
    faults = [
        {"customer": one["customer"], "weight": _weight(session, one["red"]), "detail": one[session.language]}
        for one in summary["faults"]
        if customer in (None, one["customer"])
    ]
    if faults:
        session.show_rows(faults, "weight", "customer", "detail")
    if summary["changes"]:
        session.show_rows(summary["changes"], "customer", "before", "now", "difference")
    session.show_rows(summary["totals"], "currency", "net", "vat", "total")
    provider = summary["provider"]
    session.show_one({
        "period": summary["period"], "ended": summary["ended"], "invoices": summary["invoices"], "emails": summary["emails"],
        "theirs": provider["theirs"] if provider else None, "ours": provider["ours"] if provider else None,
        "new": summary["new"][:_SHOWN], "gone": summary["gone"][:_SHOWN], "zero": summary["zero"][:_SHOWN], "hash": hashed,
    })  # fmt: skip


def _weight(session: Session, red: bool) -> str:
    return session.say("must be mended", "måste rättas") if red else session.say("note", "notera")


@click.command(cls=Command)
@period_option
@click.option(
    "--hash", "expected", default="", help="The preview that you have looked at; the default is the last one."
)
@click.option("--reason", default="", help="Why the month is locked in spite of what the preview says must be mended.")
@yes_option
@by_option
@click.pass_obj
def lock(session: Session, period: str, expected: str, reason: str, yes: bool, by: str) -> None:
    """Make a month's invoice bases, for good: exactly what was previewed, or nothing."""
    from ombud.billing.close import lock as locked

    with session.opened() as installation:
        session.confirm(
            yes,
            f"Lock {period}? It cannot be undone, only credited.",
            f"Låsa {period}? Det går inte att ångra, bara att kreditera.",
        )
        done = locked(installation.database, period, installation.clock.now(), by, expected=expected, reason=reason)
    numbers = f"{done.numbers[0]} - {done.numbers[-1]}" if done.numbers else "-"
    session.show_done(
        {"period": period, "hash": done.hash, "invoices": len(done.numbers), "numbers": list(done.numbers)},
        f"{period} is locked: {len(done.numbers)} invoices, {numbers}.",
        f"{period} är låst: {len(done.numbers)} fakturor, {numbers}.",
    )


# --- what is locked ------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("number")
@click.pass_obj
def show(session: Session, number: str) -> None:
    """Show the invoice basis, or credit, with that NUMBER."""
    from ombud.billing.credit import left_of
    from ombud.billing.ledger import basis_of, credits_of

    with session.opened() as installation, installation.database.read() as tx:
        kept = basis_of(tx, number)
        credits = credits_of(tx, kept.id)
    left = {one.line.n: str(one.left) for one in left_of(kept, credits)}
    values = {
        **_invoice(session, kept.basis), "locked_at": kept.at, "locked_by": kept.by, "sha256": kept.sha256,
        "credits": [one.basis.number for one in credits],
    }  # fmt: skip
    for line in values["lines"]:
        line["left"] = None if kept.basis.is_credit else left[line["n"]]
    if session.as_json:
        session.show_json(values)
    else:
        session.show_rows(values["lines"], "n", "text", "quantity", "unit_price", "net", "left", spare=("unit_price",))
        session.show_one({name: value for name, value in values.items() if name != "lines"})


def _invoice(session: Session, basis: Basis) -> dict[str, Any]:
    return {
        "number": basis.number or None, "kind": basis.kind, "customer": basis.buyer.slug, "period": basis.period,
        "issued": str(basis.issued), "due": str(basis.due), "emails": basis.emails, "net": str(basis.net), "vat": str(basis.vat),
        "total": str(basis.total), "currency": basis.currency, "original": basis.original.number if basis.original else None,
        "reason": basis.reason or None,
        "lines": [
            {
                "n": one.n, "article": one.article, "text": one.text(session.language), "quantity": one.quantity.number,
                "unit": one.quantity.unit, "unit_price": str(one.unit_price), "net": str(one.net), "vat_rate": f"{one.vat_rate:f}",
            }
            for one in basis.lines
        ],
    }  # fmt: skip


@click.command(cls=Command)
@click.argument("number")
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="N[=AMOUNT]",
    help="Only this line, or so much of it; may be given several times.",
)
@click.option("--reason", required=True, help="Why; the customer reads it.")
@yes_option
@by_option
@click.pass_obj
def credit(session: Session, number: str, lines: tuple[str, ...], reason: str, yes: bool, by: str) -> None:
    """Credit the invoice with that NUMBER: all that is left of it, or some lines."""
    from ombud.billing.credit import credit as credited
    from ombud.billing.ledger import basis_of

    with session.opened() as installation:
        with installation.database.read() as tx:
            currency = basis_of(tx, number).basis.currency
        asked = _asked(lines, currency) if lines else None
        session.confirm(yes, f"Credit {number}? It cannot be undone.", f"Kreditera {number}? Det går inte att ångra.")
        with installation.database.write() as tx:
            basis = credited(tx, number, installation.clock.now(), by, reason, asked)
    session.show_done(
        _invoice(session, basis),
        f"{basis.number} credits {number} by {-basis.total} {currency}.",
        f"{basis.number} krediterar {number} med {-basis.total} {currency}.",
    )


def _asked(lines: Sequence[str], currency: str) -> dict[int, Any]:
    from decimal import Decimal, InvalidOperation

    from ombud.billing.money import Money

    asked: dict[int, Any] = {}
    for text in lines:
        n, equals, amount = text.partition("=")
        try:
            if int(n) in asked:
                raise click.BadParameter(f"line {n} is named twice", param_hint="--line")
            asked[int(n)] = Money(Decimal(amount), currency) if equals else None
        except (ValueError, InvalidOperation, TypeError) as error:
            raise click.BadParameter("write it as 2 or as 2=100.00", param_hint="--line") from error
    return asked


# --- reconciling ---------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@period_option
@click.option("--route", help="Whose counts or events the files are: the provider of this route.")
@click.option(
    "--counts", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV file with day,customer,number."
)
@click.option(
    "--events",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file with at,customer,message_id,recipient,event.",
)
@click.pass_obj
def reconcile(session: Session, period: str, route: str | None, counts: Path | None, events: Path | None) -> None:
    """Compare ours with the provider's own count and with what was invoiced. Exit code 3 when a difference is not explained."""
    from ombud.accounts import load_directory
    from ombud.billing import reconcile as reconciling
    from ombud.errors import NotFound
    from ombud.routing.routes import load_routes

    if (counts or events) and not route:
        raise click.UsageError("Say with --route whose counts they are.")
    with session.opened() as installation, installation.database.write() as tx:
        directory, find = load_directory(tx), _finder(tx)
        number = next((one.id for one in load_routes(tx).values() if one.slug == route), None)
        if route and number is None:
            raise NotFound(kind="route", name=route)
        differing: list[Differing] = []
        if counts and number:
            taken = reconciling.read_counts(counts.name, text_of(counts, "utf-8-sig"), find)
            reconciling.take_in(tx, number, taken, installation.clock.now())
        if events and number:
            log = reconciling.read_events(events.name, text_of(events, "utf-8-sig"), find)
            if not counts:
                reconciling.take_in(tx, number, reconciling.counts_of(log), installation.clock.now())
            differing = reconciling.differing(tx, period, number, log)
        compared = reconciling.compare(tx, period, reconciling.reasons_of(differing))
        billed = reconciling.billed_against(tx, period)
    _show_reconciled(session, period, directory, compared, differing, billed)
    if not all(one.explained for one in compared) or any(ours != theirs for ours, theirs in billed.values()):
        raise click.exceptions.Exit(NOT_OK)


def _finder(tx: Transaction) -> FindCustomer:
    """By a customer's slug, or by a domain that it has proved (or one above)."""
    from ombud.accounts import load_directory
    from ombud.domains import load_ownership

    slugs = {slug: one.id for slug, one in load_directory(tx).customers.items()}
    ownership = load_ownership(tx)
    domains = {domain.name: id for id in slugs.values() for domain in ownership.of(id)}

    def find(name: str) -> int | None:
        name = name.lower().rstrip(".")
        while name and name not in slugs and name not in domains:
            name = name.partition(".")[2]
        return slugs.get(name) or domains.get(name)

    return find


def _show_reconciled(
    session: Session, period: str, directory: Directory, compared: Sequence[Compared], differing: Sequence[Differing],
    billed: Mapping[int, tuple[int, int]],
) -> None:  # fmt: skip
    def slug(id: int) -> str:
        return directory.customer_by_id(id).slug

    days = [
        {
            "customer": slug(one.customer_id), "day": str(one.day), "ours": one.ours, "theirs": one.theirs, "difference": one.theirs - one.ours,
            "explained": one.explained, "reasons": dict(one.reasons),
        }
        for one in compared
        if one.ours != one.theirs or one.reasons
    ]  # fmt: skip
    messages = [
        {
            "customer": slug(one.customer_id),
            "day": str(one.day),
            "side": one.side,
            "message": one.message,
            "recipient": one.address,
            "why": one.why,
        }
        for one in differing
    ]
    invoiced = [
        {"customer": slug(id), "emails": ours, "invoiced": theirs, "difference": theirs - ours}
        for id, (ours, theirs) in billed.items()
        if ours != theirs
    ]
    values = {
        "period": period, "ours": sum(one.ours for one in compared), "theirs": sum(one.theirs for one in compared),
        "unexplained": sum(not one.explained for one in compared),
    }  # fmt: skip
    if session.as_json:
        session.show_json({**values, "days": days, "messages": messages, "not_invoiced": invoiced})
        return
    for rows, columns in (
        (days, ("customer", "day", "ours", "theirs", "difference", "explained", "reasons")),
        (messages, ("customer", "day", "side", "message", "recipient", "why")),
        (invoiced, ("customer", "emails", "invoiced", "difference")),
    ):
        if rows:
            session.show_rows(rows, *columns)
    session.show_one(values)
