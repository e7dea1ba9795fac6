"""`ombud apply`: bring the installation to what a file asks for."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click

from ombud import settings
from ombud.apply import Done, Step, apply, read, settings_in
from ombud.cli.session import Command, Session, dry_run_option, yes_option
from ombud.errors import EditNeedsYes

_SIGNS = {Done.ADDED: "+", Done.CHANGED: "~", Done.REMOVED: "-"}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_COLOURS = {Done.ADDED: "green", Done.CHANGED: "yellow", Done.REMOVED: "red"}


@click.command("apply", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@dry_run_option
@yes_option
@click.pass_obj
def command(session: Session, file: Path, dry_run: bool, yes: bool) -> None:
    """Bring the installation to what FILE asks for: routes, products, customers, campaigns, domains and keys.

    All of it or nothing. A second time it changes nothing. What FILE does not name is left alone. The installation is made
    if it is not there. What would strike customers who do not know of it (a campaign's stop date moves, an alternative that is
    in use goes) is asked about first.
    """
    wanted = read(file, os.environ)
    with session.opened(make=True, dry_run=dry_run) as installation:
        zone = settings.load(session.directory).dns.vendor_zone.lower().rstrip(".")
        wanted = replace(wanted, dkim=replace(wanted.dkim, vendor_zone=zone))
        doing = partial(apply, installation.database, installation.seal, wanted, installation.clock.now())
        try:
            steps = doing(dry_run=dry_run, yes=yes)
        except EditNeedsYes as error:
            if not sys.stdin.isatty():
                raise
            click.secho(str(error.details["dangers"]), fg="red", err=True)
            session.confirm(False, "Do it all the same?", "Vill du göra det ändå?")
            steps = doing(yes=True)
    _show(session, steps, dry_run, [] if _is_own(session, file) else settings_in(file))


def _is_own(session: Session, file: Path) -> bool:
    """Whether the file is the installation's own, in which the service reads its settings."""
    return file.resolve() == (session.directory / "ombud.toml").resolve()


def _as_json(step: Step) -> dict[str, str]:
    """Without a diff or a warning where there is none, as there is seldom one."""
    values: dict[str, str] = asdict(step)
    return {name: value for name, value in values.items() if value or name not in ("diff", "warning")}


def _show(session: Session, steps: Sequence[Step], dry_run: bool, unread: Sequence[str]) -> None:
    counts = Counter(step.done for step in steps)
    if session.as_json:
        session.show_json(
            {
                **{str(done): counts[done] for done in Done},
                "dry_run": dry_run,
                "unread": list(unread),
                "steps": [_as_json(step) for step in steps],
            }
        )
        return
    for step in steps:
        if step.done is not Done.SAME:
            detail = f"  ({step.detail})" if step.detail else ""
            click.secho(f"{_SIGNS[step.done]} {step.kind} {step.name}{detail}", fg=_COLOURS[step.done])
        if step.warning:
            click.secho(f"! {step.warning}", fg="red")
        for line in step.diff.splitlines():
            click.secho(f"    {line}", fg=_DIFF_COLOURS.get(line[:1]))
    added, changed, removed, same = (counts[done] for done in Done)
    click.echo(
        session.say(
            f"{added} added, {changed} changed, {removed} removed, {same} the same.",
            f"{added} tillagda, {changed} ändrade, {removed} borttagna, {same} som förut.",
        )
    )
    if unread:
        tables, own = ", ".join(f"[{name}]" for name in unread), session.directory / "ombud.toml"
        click.echo(
            session.say(
                f"Settings are not read from this file, but from {own}: {tables}.",
                f"Inställningar läses inte ur den här filen, utan ur {own}: {tables}.",
            ),
            err=True,
        )
    if dry_run:
        click.echo(session.say("This was a dry run: nothing was changed.", "Detta var en provkörning: inget ändrades."))
