"""`ombud cases`: the cases that choices make in the service centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ombud.accounts import Directory, load_directory
from ombud.apply import changing
from ombud.campaigns.cases import (
    Case,
    CaseState,
    attach_number,
    cases,
    close_case,
    comments_of,
    find_case,
    reopen_case,
)
from ombud.campaigns.cases import comment as add_comment
from ombud.campaigns.centre import CentreCase, differences, import_list, read_list
from ombud.campaigns.mailing import load_reach
from ombud.campaigns.picture import load_picture
from ombud.choices import Choices, load_choices
from ombud.cli.operator import by_option, campaign_named, campaign_option
from ombud.cli.session import NOT_OK, Group, Session, choice_of, dry_run_option
from ombud.db import Transaction

csv_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE.csv")


@click.group("cases", cls=Group)
def command() -> None:
    """The cases that choices make in the service centre: one per company and campaign."""


@command.command("list")
@campaign_option
@click.option("--state", type=choice_of(CaseState), help="Only these.")
@click.option("--without-number", is_flag=True, help="Only those whose number has not come back.")
@click.pass_obj
def list_(session: Session, campaign: str | None, state: str | None, without_number: bool) -> None:
    """List the cases with who has the ball, newest change first."""
    with session.opened() as installation, installation.database.read() as tx:
        now = installation.clock.now()
        directory, choices = load_directory(tx), load_choices(tx)
        chosen = campaign_named(choices, campaign, now)
        found = cases(
            tx, campaign_id=chosen.id, state=CaseState(state) if state else None,
            numbered=False if without_number else None,
        )  # fmt: skip
        standings = load_picture(tx, chosen.slug, now, load_reach(tx, chosen.slug)).standings
    rows = [
        {
            **_about(directory, choices, one),
            "ball": standings[one.customer_id].ball if one.customer_id in standings else None,
        }
        for one in found
    ]
    session.show_rows(
        rows, "reference", "number", "customer", "alternative", "state", "ball", "opened_at", "changed_at",
        spare=("customer", "opened_at", "changed_at"),
    )  # fmt: skip


@command.command()
@click.argument("case")
@click.pass_obj
def show(session: Session, case: str) -> None:
    """Show a case with all that has been said of it. CASE is our reference or the service centre's number."""
    with session.opened() as installation, installation.database.read() as tx:
        directory, choices = load_directory(tx), load_choices(tx)
        found = find_case(tx, case)
        said = comments_of(tx, found.id)
    values, comments = _about(directory, choices, found), [asdict(one) for one in said]
    if session.as_json:
        session.show_json({**values, "comments": comments})
    else:
        session.show_one(values)
        session.show_rows(comments, "at", "by", "kind", "text")


def _about(directory: Directory, choices: Choices, case: Case) -> dict[str, Any]:
    return {
        "reference": case.reference,
        "number": case.number or None,
        "campaign": choices.campaign_by_id(case.campaign_id).slug,
        "customer": directory.customer_by_id(case.customer_id).slug,
        "alternative": case.alternative or None,
        "state": case.state,
        "opened_at": case.opened_at,
        "changed_at": case.changed_at,
    }


# --- changing ------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("case")
@click.argument("text")
@by_option
@click.pass_obj
def comment(session: Session, case: str, text: str, by: str) -> None:
    """Add TEXT to what is said of a case."""
    with session.opened() as installation, installation.database.write() as tx:
        add_comment(tx, find_case(tx, case), text, by, installation.clock.now())
    session.show_done({"case": case, "by": by}, f"Added to {case}.", f"Tillagt i {case}.")


@command.command()
@click.argument("case")
@click.argument("number")
@by_option
@click.pass_obj
def number(session: Session, case: str, number: str, by: str) -> None:
    """Attach the service centre's NUMBER to a case."""
    with session.opened() as installation, installation.database.write() as tx:
        changed = attach_number(tx, find_case(tx, case), number, by, installation.clock.now())
    session.show_done({"case": case, "number": number, "changed": changed}, f"{case}: {number}.", f"{case}: {number}.")


@command.command()
@click.argument("case")
@click.option("--reason", default="", help="Why.")
@by_option
@click.pass_obj
def close(session: Session, case: str, reason: str, by: str) -> None:
    """Close a case."""
    with session.opened() as installation, installation.database.write() as tx:
        close_case(tx, find_case(tx, case), by, installation.clock.now(), reason)
    session.show_done({"case": case, "state": CaseState.CLOSED}, f"{case} is closed.", f"{case} är stängt.")


@command.command()
@click.argument("case")
@click.option("--reason", default="", help="Why.")
@by_option
@click.pass_obj
def reopen(session: Session, case: str, reason: str, by: str) -> None:
    """Open a closed case again."""
    with session.opened() as installation, installation.database.write() as tx:
        reopen_case(tx, find_case(tx, case), by, installation.clock.now(), reason)
    session.show_done({"case": case, "state": CaseState.OPEN}, f"{case} is open.", f"{case} är öppet.")


# --- the service centre's lists ------------------------------------------------------------------------------------


@command.command("import")
@csv_file
@campaign_option
@by_option
@dry_run_option
@click.pass_obj
def import_(session: Session, file: Path, campaign: str | None, by: str, dry_run: bool) -> None:
    """Take the service centre's numbers and states from FILE.csv; all of it or nothing.

    Its columns: number, and customer (slug or organisation number) or reference; state and alternative where it has them.
    """
    lines = read_list(file.read_bytes(), file.name)
    with session.opened() as installation, changing(installation.database, dry_run=dry_run) as tx:
        now = installation.clock.now()
        chosen = campaign_named(load_choices(tx), campaign, now)
        done = import_list(tx, load_directory(tx), chosen, lines, file.name, by, now)
    changed = [(line, case) for line, case, news in done if news]
    values = {
        "file": file.name, "lines": len(done), "changed": len(changed), "dry_run": dry_run,
        "cases": [{"reference": case.reference, "number": line.number, "state": line.state} for line, case in changed],
    }  # fmt: skip
    session.show_done(
        values,
        f"{len(done)} lines, {len(changed)} cases changed{' (dry run)' if dry_run else ''}.",
        f"{len(done)} rader, {len(changed)} ärenden ändrade{' (provkörning)' if dry_run else ''}.",
    )


@command.command()
@csv_file
@campaign_option
@click.pass_context
def diff(ctx: click.Context, file: Path, campaign: str | None) -> None:
    """Show where our register and the service centre's list disagree. Ends with 3 if they do."""
    session: Session = ctx.obj
    lines = read_list(file.read_bytes(), file.name)
    with session.opened() as installation, installation.database.read() as tx:
        rows = _differences(tx, campaign, lines, installation.clock.now())
    if session.as_json or rows:
        session.show_rows(rows, "kind", "customer", "here", "there", "line")
    else:
        click.echo(session.say("Register and list agree.", "Registret och listan stämmer överens."))
    ctx.exit(NOT_OK if rows else 0)


def _differences(
    tx: Transaction, campaign: str | None, lines: Sequence[CentreCase], now: datetime
) -> list[dict[str, Any]]:
    chosen = campaign_named(load_choices(tx), campaign, now)
    found = differences(load_directory(tx), chosen, cases(tx, campaign_id=chosen.id), lines)
    return [{**asdict(one), "here": one.here or None, "there": one.there or None} for one in found]
