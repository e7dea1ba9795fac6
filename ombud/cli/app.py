"""`ombud`: the outermost command. Knows every noun by name, imports the one that is asked for, and tells what went wrong."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper

import click

from ombud import __version__
from ombud.cli.session import Group, Session, global_options, session_of
from ombud.errors import FileUnusable, OmbudError

FAILED = 1

#: Every noun with its one sentence, in the order of the help; each is a module here. (A test compares them.)
NOUNS = {
    "demo": "Play the whole story on this machine, in a world of its own.",
    "serve": "Run the service: both doors, delivery and the jobs.",
    "apply": "Bring the installation to what a TOML file asks for.",
    "doctor": "Look for what would keep the service from working.",
    "verify": "Check every invariant of the database.",
    "customers": "The companies that mail is sent for.",
    "people": "Who is written to at the customers, and who may choose.",
    "links": "Personal links: a page that one person opens without logging in.",
    "products": "The vendor's programs, which submit the mail.",
    "credentials": "What the products submit with.",
    "domains": "The sender domains that customers have proved, and their keys.",
    "dns": "What the domain name system says of domains, and what it is to say.",
    "rules": "What the great receivers ask of senders, checked.",
    "routes": "The ways out, and whose mail takes which.",
    "switches": "Whose mail goes over to another route, when, and back.",
    "overrides": "What an operator has decided otherwise, for a while.",
    "cases": "The cases that choices make in the service centre.",
    "campaigns": "The changes that every customer must choose its way through.",
    "choices": "What customers have chosen, with every change.",
    "extensions": "More time for customers, exemptions, and reserve mode.",
    "subprocessors": "The register of sub-processors, and who was told and objects.",
    "notices": "What others are to be told, and what could not be told.",
    "webhooks": "Where other systems are told, such as the service centre.",
    "send": "Send one message.",
    "messages": "What was accepted, and what became of it.",
    "queue": "What waits, and what is to happen to it.",
    "usage": "How many e-mails were handed over.",
    "billing": "What alternative 2 costs, and the months on their way to invoices.",
}


class Ombud(Group):
    """Imports a noun's module when it is used, and turns errors into words and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [noun for noun in NOUNS if find_spec(f"ombud.cli.{noun}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"ombud.cli.{cmd_name}")
        command = getattr(module, "command", None) or getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun, NOUNS[noun]) for noun in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Exception as error:
            known = error if isinstance(error, OmbudError) else _of_the_database(error) or _of_a_file(error)
            if known is None:
                raise
            session_of(ctx).report(known)
            raise click.exceptions.Exit(FAILED) from error


def _of_the_database(error: Exception) -> OmbudError | None:
    """The database's own trouble in our words. It has none before its module is imported."""
    if "ombud.db.database" not in sys.modules:
        return None
    from ombud.db.database import trouble

    return trouble(error)


def _of_a_file(error: Exception) -> OmbudError | None:
    """A file or directory that cannot be read or written; what is wrong with a connection has no name."""
    if not isinstance(error, OSError):
        return None
    if isinstance(error.filename, str | bytes):
        return FileUnusable(file=os.fsdecode(error.filename), reason=error.strerror or "it cannot be read or written")
    if error.errno == errno.ENOSPC:
        return FileUnusable(file="stdout", reason=error.strerror)
    return None


@click.command(
    cls=Ombud,
    params=global_options(),
    epilog="The options above may also stand after the command. Exit codes: 0 ok, 1 failed, 2 wrong usage, "
    "3 it ran and the answer is not OK.",
)
@click.version_option(__version__, prog_name="ombud")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Ombud sends e-mail in your customers' names, authenticated, each customer by the way it has chosen.

    An installation is a directory with ombud.toml, the database and the master key.
    """
    ctx.ensure_object(Session)


def main() -> None:
    """The program `ombud`."""
    gc.set_threshold(100_000, 20, 20)  # a command over thousands of customers makes many objects, and ends
    if isinstance(sys.stdout, TextIOWrapper):
        # Names have å, ä and ö whatever the locale: a program gets UTF-8 (RFC 8259 8.1), a terminal what it has letters for.
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")
    app(prog_name="ombud")
