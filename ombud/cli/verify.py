"""`ombud verify`: check every invariant of the database."""

from __future__ import annotations

import click

from ombud.cli.session import NOT_OK, Command, Session
from ombud.verify import verify


@click.command("verify", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Check every invariant of the database. It may be run while the service runs. Exit code 3: one does not hold."""
    session: Session = ctx.obj
    with session.opened() as installation, installation.database.read() as tx:
        violations = verify(tx)
    if session.as_json:
        rows = [{"rule": one.rule, "count": one.count, "detail": one.detail} for one in violations]
        session.show_json({"ok": not violations, "violations": rows})
    elif violations:
        session.show_rows([{"rule": one.rule, "detail": one.detail} for one in violations], "rule", "detail")
    else:
        click.secho(session.say("✔ Every invariant holds.", "✔ Alla regler håller."), fg="green")
    if violations:
        ctx.exit(NOT_OK)
