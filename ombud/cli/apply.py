"""`ombud apply`: bring the installation to what a file asks for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ombud.apply import Done, Step, apply, read
from ombud.cli.session import Command, Session, dry_run_option

_SIGNS = {Done.ADDED: "+", Done.CHANGED: "~", Done.REMOVED: "-"}
_COLOURS = {Done.ADDED: "green", Done.CHANGED: "yellow", Done.REMOVED: "red"}


@click.command("apply", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@dry_run_option
@click.pass_obj
def command(session: Session, file: Path, dry_run: bool) -> None:
    """Bring the installation to what FILE asks for: routes, products, customers, domains and keys.

    All of it or nothing. A second time it changes nothing. What FILE does not name is left alone. The installation is made
    if it is not there.
    """
    wanted = read(file, os.environ)
    with session.opened(make=True) as installation:
        steps = apply(installation.database, installation.seal, wanted, installation.clock.now(), dry_run=dry_run)
    _show(session, steps, dry_run)


def _show(session: Session, steps: Sequence[Step], dry_run: bool) -> None:
    counts = Counter(step.done for step in steps)
    if session.as_json:
        session.show_json(
            {
                **{str(done): counts[done] for done in Done},
                "dry_run": dry_run,
                "steps": [asdict(step) for step in steps],
            }
        )
        return
    for step in steps:
        if step.done is not Done.SAME:
            detail = f"  ({step.detail})" if step.detail else ""
            click.secho(f"{_SIGNS[step.done]} {step.kind} {step.name}{detail}", fg=_COLOURS[step.done])
    added, changed, removed, same = (counts[done] for done in Done)
    click.echo(
        session.say(
            f"{added} added, {changed} changed, {removed} removed, {same} the same.",
            f"{added} tillagda, {changed} ändrade, {removed} borttagna, {same} som förut.",
        )
    )
    if dry_run:
        click.echo(session.say("This was a dry run: nothing was changed.", "Detta var en provkörning: inget ändrades."))
