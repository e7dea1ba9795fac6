"""`ombud demo`: the whole story on this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from ombud.sandbox.story import Run, Stage

DIRECTORY = Path("var/demo")


@click.command("demo", cls=Command)
@click.option("--once", is_flag=True, help="End when the mail has arrived, instead of staying up.")
@click.option(
    "--keep", is_flag=True, envvar="KEEP", help="Go on with what the last demo left, instead of beginning afresh."
)
@click.pass_obj
def command(session: Session, once: bool, keep: bool) -> None:
    """Play the whole story on this machine: a world on loopback, an installation, and a rent-notice run.

    Everything lies in var/demo (or --dir): the installation, the recipients' mail and world.json, which tells other programs
    where everything is. What is counted is what lies in the recipients' mailboxes, not what Ombud says of itself.
    """
    from ombud.sandbox import example, story

    directory = (session.directory if session.directory != Path() else DIRECTORY).resolve()
    story.new_directory(directory, keep=keep)
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a shell's background jobs start with it ignored
        signal.signal(number, _interrupt)
    console = Console(stderr=session.as_json)
    with story.on_stage(
        directory, example.DEFAULT, lambda words: console.print(f"[dim]{words}[/]"), session.at or story.DAY
    ) as stage:
        run = _play(stage, example.DEFAULT, console)
        if session.as_json:
            session.show_json(run.as_json())
        else:
            _show(console, run)
        if not once:
            _invite(console, stage)
            _wait(stage)
    if run.as_json()["lost"] or run.duplicates or run.billable != run.metered:
        raise click.exceptions.Exit(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _play(stage: Stage, directory: Path, console: Console) -> Run:
    from ombud.sandbox import story

    columns = (TextColumn("rent notices in mailboxes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("mail", total=None)
        return story.play(stage, directory, lambda done, total: bar.update(task, completed=done, total=total))


#: What is counted, with a head that is narrow enough for ten columns on a terminal.
_COUNTS = {
    "submitted": "sub-\nmitted", "delivered": "deliv-\nered", "deferred": "defer-\nred", "failed": "failed", "spf": "spf\npass",
    "dkim": "dkim\npass", "dmarc": "dmarc\npass",
}  # fmt: skip


def _show(console: Console, run: Run) -> None:
    table = Table(
        title="Where the rent notices went", title_justify="left", show_footer=True, box=None, padding=(0, 1, 0, 0)
    )
    for name in ("customer", "product", "route"):
        table.add_column(name, no_wrap=True, header_style="bold")
    for name, head in _COUNTS.items():
        table.add_column(head, justify="right", footer=str(run.total(name)), header_style="bold", footer_style="bold")
    for line in run.lines:
        counts = (getattr(line, name) for name in _COUNTS)
        table.add_row(line.customer, line.product, line.route, *map(str, counts))
    console.print(table)
    totals = run.as_json()
    console.print(
        f"Counted in the mailboxes: lost {totals['lost']}, duplicates {totals['duplicates']}, billable {run.billable} "
        f"(Ombud's meter says {run.metered}), in {run.seconds:.1f} s."
    )
    if totals["failed"]:
        console.print(
            "The failed ones are those that the large receiver refused: neither SPF nor DKIM speaks for their sender."
        )


def _invite(console: Console, stage: Stage) -> None:
    here = stage.directory.relative_to(Path.cwd()) if stage.directory.is_relative_to(Path.cwd()) else stage.directory
    console.print(f"""
Visit      {stage.world["http"]}/            what this is
           {stage.world["http"]}/v1/docs     the API, to read
           {stage.world["http"]}/metrics     what Prometheus reads
Mail       {here}/mail/             one Maildir for each recipient domain
Try        ombud --dir {here} messages list
           ombud --dir {here} routes explain --customer eken --product hyra --to anna@storpost.example
           ombud --dir {here} usage show --customer lindgarden
Ctrl-C stops.""", highlight=False)  # fmt: skip


def _wait(stage: Stage) -> None:
    """Until Ctrl-C, or until one of the processes is gone."""
    try:
        while all(process.poll() is None for process in stage.processes):
            signal.sigtimedwait({signal.SIGCHLD}, 1.0)
    except KeyboardInterrupt:
        click.echo("\nStopping.", err=True)
