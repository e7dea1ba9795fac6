"""`ombud demo`: the whole story on this machine."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ombud.cli.session import Command, Session

if TYPE_CHECKING:
    from ombud.sandbox.story import Run, Stage
    from ombud.sandbox.year import Year

DIRECTORY = Path("var/demo")
YEAR = Path("var/story")


@click.command("demo", cls=Command)
@click.option("--once", is_flag=True, help="End when the mail has arrived, instead of staying up.")
@click.option(
    "--keep", is_flag=True, envvar="KEEP", help="Go on with what the last demo left, instead of beginning afresh."
)
@click.option(
    "--story",
    "tell",
    is_flag=True,
    help="Play the notice of 2024 instead, from the first letter to the day after the stop.",
)
@click.pass_obj
def command(session: Session, once: bool, keep: bool, tell: bool) -> None:
    """Play the whole story on this machine: a world on loopback, an installation, and a rent-notice run.

    Everything lies in var/demo (or --dir): the installation, the recipients' mail and world.json, which tells other programs
    where everything is. What is counted is what lies in the recipients' mailboxes, not what Ombud says of itself.

    With --story the clock is turned from 2024-01-08 to 2024-06-03, day by day, in a few minutes: customers choose, change their
    minds, get more time or nothing, and each day's line says what became of their mail. Exit 1 when a mail is not accounted for.
    """
    if tell:
        _tell(session)
        return
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


def _tell(session: Session) -> None:
    """The year of the notice, with a line for each day and what happened on it."""
    import asyncio
    import logging

    from ombud import maillog
    from ombud.sandbox import story, year
    from ombud.sandbox.plot import the_notice_of_2024
    from ombud.settings import LogSettings

    directory = (session.directory if session.directory != Path() else YEAR).resolve()
    story.new_directory(directory, keep=False)
    console = Console(stderr=session.as_json, highlight=False)
    maillog.configure(LogSettings(level="error"))
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's, which warns of every client that goes away
    columns = (TextColumn("days"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("days", total=None)
        told = asyncio.run(
            year.play(
                directory, the_notice_of_2024(), lambda words: bar.console.print(words, soft_wrap=True),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        )  # fmt: skip
    if session.as_json:
        session.show_json(told.as_json())
    else:
        _show_year(console, told)
    if not told.ok:
        raise click.exceptions.Exit(1)


def _show_year(console: Console, told: Year) -> None:
    names = ("submitted", "delivered", "refused", "failed", "held", "lost")
    table = Table(
        title="What became of the year's mail", title_justify="left", show_footer=True, box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("customer", no_wrap=True, header_style="bold")
    for name in names:
        table.add_column(name, justify="right", footer=str(told.total(name)), header_style="bold", footer_style="bold")
    for slug, fate in sorted(told.customers.items()):
        table.add_row(slug, *(str(getattr(fate, name)) for name in names))
    console.print(table)
    console.print(
        f"Counted in the mailboxes and by the doors' answers, over {told.days} days: {told.total('lost')} lost, {told.duplicates} duplicates. "
        f"{told.at_risk} mails to Gmail were at risk, {told.letters} letters came to the customers, the brownout held "
        f"{told.held_in_brownout} mails and released {told.released_from_brownout}. {told.seconds:.0f} s.",
        soft_wrap=True,
    )
    for difference in told.disagreements:
        console.print(f"[red]{difference}[/]")


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
    # `make run` is played by the program in .venv, which need not be on the PATH.
    ombud = shlex.join(["ombud" if shutil.which("ombud") else sys.argv[0], "--dir", str(here)])
    console.print(f"""
Visit      {stage.world["http"]}/            what this is
           {stage.world["http"]}/v1/docs     the API, to read
           {stage.world["http"]}/metrics     what Prometheus reads
Mail       {here}/mail/             one Maildir for each recipient domain
Try        {ombud} messages list
           {ombud} routes explain --customer eken --product hyra --to anna@storpost.example
           {ombud} usage show --customer lindgarden
Ctrl-C stops.""", highlight=False, markup=False, soft_wrap=True)  # fmt: skip


def _wait(stage: Stage) -> None:
    """Until Ctrl-C, or until one of the processes is gone."""
    try:
        while all(process.poll() is None for process in stage.processes):
            signal.sigtimedwait({signal.SIGCHLD}, 1.0)
    except KeyboardInterrupt:
        click.echo("\nStopping.", err=True)
