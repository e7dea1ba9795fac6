"""`ombud campaigns dry-run` and `live`: what a moment to come would do, and letting a choice be in force."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from ombud.accounts import Customer
from ombud.apply import changing
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.dryrun import LONGEST_REPLAY, DryRun, Outcome
from ombud.campaigns.dryrun import dry_run as run_dry
from ombud.campaigns.golive import go_live, ready
from ombud.campaigns.picture import Picture
from ombud.choices import load_choices
from ombud.cli.operator import by_option, campaign_named, campaign_option, moment, picture_of
from ombud.cli.session import NOT_OK, Command, Session, dry_run_option, yes_option
from ombud.clock import STOCKHOLM
from ombud.errors import ChoiceConflict, NotReadyToGoLive, SwitchedMeanwhile, WrongState
from ombud.installation import Installation
from ombud.wording import said_number

_OUTCOME = ("customer", "product", "action", "reason", "messages", "gmail_share")


# --- dry run -------------------------------------------------------------------------------------------------------


class _OwnMoment(Command):
    """A command whose `--at` is a moment that it asks about, and does not turn the clock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [one for one in self.params if one.name != "at" or one.expose_value]


def _read_days(ctx: click.Context, param: click.Parameter, value: str) -> int:
    number = value.removesuffix("d")
    if not (number.isascii() and number.isdecimal() and 1 <= int(number[:4]) <= LONGEST_REPLAY):
        raise click.BadParameter(f"write it as 30d, at most {LONGEST_REPLAY}d")
    return int(number)


@click.command("dry-run", cls=_OwnMoment)
@campaign_option
@click.option(
    "--at",
    required=True,
    metavar="MOMENT",
    callback=moment,
    help="Which moment, such as 2024-06-01T00:00 (Stockholm time).",
)
@click.option(
    "--replay",
    default="30d",
    show_default=True,
    metavar="DAYS",
    callback=_read_days,
    help="Over the mail of so many days up to now.",
)
@click.option("--csv", "as_csv", is_flag=True, help="As CSV.")
@click.pass_context
def dry_run(ctx: click.Context, campaign: str | None, at: datetime, replay: int, as_csv: bool) -> None:
    """Tell what a moment to come would do to mail like that of the last days. Ends with 3 if anyone would be stopped.

    The same decision is asked for as for the real mail.
    """
    session: Session = ctx.obj
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        done = run_dry(tx, campaign_named(load_choices(tx), campaign, now).slug, at, now, replay)
    _show_dry_run(session, done, as_csv)
    ctx.exit(NOT_OK if done.stopped else 0)


def _show_dry_run(session: Session, done: DryRun, as_csv: bool) -> None:
    if as_csv:
        session.show_csv([_outcome_values(one) for one in done.outcomes], *_OUTCOME)
    elif session.as_json:
        session.show_json(
            {
                "campaign": done.campaign.slug, "at": done.at.astimezone(STOCKHOLM).isoformat(), "since": done.since.isoformat(),
                "until": done.until.isoformat(), "customers": [_outcome_values(one) for one in done.outcomes],
                "stopped_customers": done.stopped_customers, "stopped_messages": done.stopped_messages,
            }
        )  # fmt: skip
    else:
        _tell_dry_run(session, done)


def _outcome_values(one: Outcome) -> dict[str, Any]:
    return {
        "customer": one.customer.slug, "product": one.product.slug, "action": one.action, "reason": one.reason,
        "messages": one.messages, "gmail_share": one.gmail_share,
    }  # fmt: skip


def _tell_dry_run(session: Session, done: DryRun) -> None:
    """For people: only what would be stopped, a line for each customer, most mail first."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in done.stopped:
        key = (one.customer.slug, one.action.value, one.reason)
        row = rows.setdefault(key, dict(zip(("customer", "action", "reason"), key, strict=True)) | {"products": [], "messages": 0, "to_gmail": 0})  # fmt: skip
        row["products"].append(one.product.slug)
        row["messages"] += one.messages
        row["to_gmail"] += one.to_gmail
    for row in rows.values():
        every = len(row["products"]) == len(done.campaign.products)
        row["products"] = session.say("all", "alla") if every else ", ".join(row["products"])
    if rows:
        session.show_rows(
            sorted(rows.values(), key=lambda row: -row["messages"]), "customer", "products", "action", "reason", "messages", "to_gmail",
            spare=("to_gmail", "reason"),
        )  # fmt: skip
    counts = (done.stopped_customers, done.stopped_messages, done.stopped_to_gmail)
    people, mail, gmail = (said_number(one, session.language) for one in counts)
    days = (done.until - done.since).days
    click.echo(
        session.say(
            f"Would be stopped: {people} customers, {mail} e-mails (last {days} days), {gmail} of them to Gmail.",
            f"Skulle stoppas: {people} kunder, {mail} mejl (senaste {days} dagarna), varav {gmail} till Gmail.",
        )
    )


# --- going live ----------------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("slugs", nargs=-1, metavar="[CUSTOMER]...")
@campaign_option
@click.option(
    "--ready", "all_ready", is_flag=True, help="Everyone who lacks nothing, but for those who were taken back."
)
@click.option("--product", "products", multiple=True, help="Only from this product; may be given again.")
@click.option("--when", metavar="MOMENT", callback=moment, help="From then on; the default is now.")
@click.option("--canary", type=click.IntRange(1, 99), help="So many per cent of the recipients first.")
@click.option("--canary-until", metavar="MOMENT", callback=moment, help="Until when; then everyone.")
@click.option(
    "--override", default="", metavar="REASON", help="Go live although something is missing, for this reason."
)
@by_option
@dry_run_option
@yes_option
@click.pass_context
def live(
    ctx: click.Context, slugs: tuple[str, ...], campaign: str | None, all_ready: bool, products: tuple[str, ...],
    when: datetime | None, canary: int | None, canary_until: datetime | None, override: str, by: str, dry_run: bool, yes: bool,
) -> None:  # fmt: skip
    """Let customers' mail go by their choice from now on. What the alternative needs is looked at first.

    Ends with 3 if someone could not go live.
    """
    session: Session = ctx.obj
    if bool(slugs) == all_ready:
        raise click.UsageError("Name customers, or say --ready.")
    with session.opened() as installation:
        now = installation.clock.now()
        with installation.database.read() as tx:
            picture = picture_of(tx, campaign, now)
        wanted = ready(picture) if all_ready else [_member(picture, slug) for slug in slugs]
        ids = [picture.directory.product(slug).id for slug in products] or None
        if not dry_run and wanted:
            _ask(session, yes, wanted)
        rows = [
            _go_live(
                installation, picture, one, now, dry_run=dry_run, by=by, products=ids, at=when, override_reason=override,
                canary_percent=canary or 100, canary_until=canary_until,
            )
            for one in _with_progress(session, wanted)
        ]  # fmt: skip
    session.show_rows(rows, "customer", "result", "route", "products", "lacks")
    ctx.exit(NOT_OK if any(row["result"] == "refused" for row in rows) else 0)


def _member(picture: Picture, slug: str) -> Customer:
    customer = picture.directory.customer(slug)
    if customer.id not in picture.facts:
        raise click.UsageError(f"{slug} is no customer of the campaign {picture.campaign.slug}.")
    return customer


def _ask(session: Session, yes: bool, wanted: Sequence[Customer]) -> None:
    names = ", ".join(one.slug for one in wanted[:10]) + (" ..." if len(wanted) > 10 else "")
    session.confirm(
        yes, f"Go live with {len(wanted)} customers ({names})?", f"Slå över {len(wanted)} kunder ({names})?"
    )


def _with_progress(session: Session, wanted: Sequence[Customer]) -> Iterable[Customer]:
    if session.as_json or not sys.stderr.isatty() or len(wanted) < 20:
        return wanted
    from rich.console import Console
    from rich.progress import track

    return track(wanted, session.say("Going live", "Slår över"), console=Console(stderr=True))


def _go_live(
    installation: Installation, picture: Picture, customer: Customer, now: datetime, *, dry_run: bool, **how: Any
) -> dict[str, Any]:  # fmt: skip

    centre = ServiceCentre.of(installation.settings)
    try:
        with changing(installation.database, dry_run=dry_run) as tx:
            switches = go_live(tx, picture, customer, now, centre=centre, **how)
    except (NotReadyToGoLive, WrongState, SwitchedMeanwhile, ChoiceConflict) as error:
        return {
            "customer": customer.slug, "result": "refused", "route": None, "products": None, "switches": [],
            "lacks": error.details.get("codes") or [error.code], "detail": error.text(), "dry_run": dry_run,
        }  # fmt: skip
    route = picture.routing.routes[switches[0].to_route_id]
    slugs = sorted(picture.directory.product_by_id(one).slug for each in switches for one in each.product_ids or ())
    return {
        "customer": customer.slug, "result": "ready" if dry_run else "live", "route": route.slug, "products": slugs,
        "switches": [] if dry_run else [each.id for each in switches], "lacks": [], "detail": "", "dry_run": dry_run,
    }  # fmt: skip
