"""What all commands share: which installation, which language, table or JSON; and options that may stand anywhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ombud.clock import parse_moment
from ombud.errors import FileUnusable, NoInstallation, OmbudError

if TYPE_CHECKING:
    from ombud.installation import Installation

F = TypeVar("F", bound=Callable[..., Any])

#: Exit code: the command ran, and what it found is not OK.
NOT_OK = 3

#: The type of an argument that is the number of something; greater ones neither database has.
NUMBER = click.IntRange(1, 2**31 - 1)
NUMBER.name = "number"  # as what is not one is called


def _language() -> str:
    words = (
        os.environ.get("OMBUD_LANG")
        or os.environ.get("LC_ALL")
        or os.environ.get("LC_MESSAGES")
        or os.environ.get("LANG", "")
    )
    return "sv" if words.lower().startswith("sv") else "en"


@dataclass
class Session:
    """One run of a command."""

    directory: Path = Path()
    json: bool | None = None
    language: str = field(default_factory=_language)
    at: str = ""

    @property
    def as_json(self) -> bool:
        if self.json is not None:
            return self.json
        return sys.stdout is None or not sys.stdout.isatty()  # None: whoever started us has closed it

    # --- the installation ---

    @contextmanager
    def opened(self, *, make: bool = False, dry_run: bool = False) -> Iterator[Installation]:
        """The installation; made when it is not there, if `make`, and for a dry run in a place that goes away again.

        Raises Misconfigured and DatabaseGone.
        """
        from ombud.installation import MASTER_KEY, opened

        _log_to_stderr()
        there = (self.directory / MASTER_KEY).exists()
        if not make and not there:
            raise NoInstallation(directory=self.directory.absolute())
        service = {"at": self.at, "at_since": ""} if self.at else {}
        with ExitStack() as stack:
            directory = self.directory
            if dry_run and not there:
                directory = Path(stack.enter_context(TemporaryDirectory(prefix="ombud-")))
                service["database"] = ""
            yield stack.enter_context(opened(directory, service=service))

    # --- what is said ---

    def say(self, en: str, sv: str) -> str:
        return sv if self.language == "sv" else en

    def show_rows(self, rows: Sequence[Mapping[str, Any]], *columns: str, spare: Sequence[str] = ()) -> None:
        """A list: as JSON with everything, as a table with the columns named; on a narrow terminal without the spare ones."""
        if self.as_json:
            self.show_json([dict(row) for row in rows])
        else:
            from ombud.cli import tables

            tables.show_rows(rows, columns, self.language, spare)

    def show_one(self, values: Mapping[str, Any]) -> None:
        """One thing with its values."""
        if self.as_json:
            self.show_json(dict(values))
        else:
            from ombud.cli import tables

            tables.show_one(values, self.language)

    def show_csv(self, rows: Sequence[Mapping[str, Any]], *columns: str) -> None:
        """A list as CSV (RFC 4180) for a spreadsheet; no text in it is taken for a formula."""
        import csv

        from ombud.billing.exports.csv import harmless

        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column), harmless) for column in columns])

    def show_done(self, values: Mapping[str, Any], en: str, sv: str) -> None:
        """What was done: as JSON the values, for a person the sentence."""
        if self.as_json:
            self.show_json(dict(values))
        else:
            click.echo(self.say(en, sv))

    def show_line(self, line: str, *, hanging: int) -> None:
        """A line for a person. On a terminal what does not fit goes on below, so far in; a file or a pipe gets one line."""
        import shutil
        import textwrap

        if sys.stdout.isatty():
            room = shutil.get_terminal_size().columns
            line = textwrap.fill(
                line,
                room,
                subsequent_indent=" " * min(hanging, room // 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
        click.echo(line)

    def show_json(self, value: object) -> None:
        click.echo(json.dumps(value, ensure_ascii=False, default=_plain))

    def confirm(self, yes: bool, en: str, sv: str) -> None:
        """Ask before something that cannot be undone at once; `--yes` has answered already. Ends the command on a no."""
        if not yes:
            click.confirm(self.say(en, sv), abort=True, err=True)

    def report(self, error: OmbudError) -> None:
        """Say on stderr what went wrong."""
        if self.as_json:
            problem = {
                "code": error.code,
                "title": error.code.replace("_", " ").capitalize(),
                "detail": error.text(self.language),
                "retryable": error.retryable,
            }
            click.echo(json.dumps({"error": problem}, ensure_ascii=False), err=True)
        else:
            click.secho(f"✖ {error.text(self.language)}", fg="red", err=True)


def session_of(ctx: click.Context) -> Session:
    return ctx.ensure_object(Session)


def _cell(value: object, harmless: Callable[[str], str]) -> object:
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else value
    if isinstance(value, (list, tuple, set, frozenset)):
        return harmless(" ".join(map(str, value)))
    return harmless(str(_plain(value)))


def _plain(value: object) -> object:
    """What JSON has no word for: moments in UTC as the API writes them, sets in order."""
    from datetime import UTC, datetime

    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def _log_to_stderr() -> None:
    """What a command prints is its answer, and may be read by a program: warnings go to the other stream."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        # Asked for at each line: whoever runs commands inside another program changes the stream between them.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


# --- options and commands --------------------------------------------------------------------------------------------


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(session_of(ctx), name, value)

    return callback


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        parse_moment(value)
    except ValueError as error:
        raise click.BadParameter("write it as 2024-06-01T00:00, with an offset if it is not Stockholm time") from error
    session_of(ctx).at = value


def global_options(*, inner: bool = False) -> list[click.Parameter]:
    """The options of every command. `inner`: as they may stand after a noun or a verb, where the help does not repeat them."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, hidden=inner, **more)

    return [
        option(
            "--dir", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), callback=_set("directory"),
            envvar=None if inner else "OMBUD_DIR", help="The installation; the default is here, or OMBUD_DIR.",
        ),
        option(
            "--json/--table", default=None, callback=_set("json"),
            help="Answer as JSON or as tables; JSON is the default when the output is not a terminal.",
        ),
        option("--lang", type=click.Choice(["sv", "en"]), callback=_set("language"), help="The language of what is said to people."),
        option("--at", metavar="MOMENT", callback=_moment, help="Turn the clock, such as 2024-06-01T00:00 (Stockholm time)."),
    ]  # fmt: skip


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options(inner=True)


class Group(click.Group):
    """A noun; its verbs are Commands."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.params:
            self.params += global_options(inner=True)


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file that a command is given. Raises FileUnusable, and OSError with the file's name."""
    try:
        return path.read_text(encoding)
    except UnicodeDecodeError as error:
        raise FileUnusable(file=path, reason=f"it is not UTF-8 at byte {error.start}") from error


def choice_of(values: type[StrEnum]) -> click.Choice[str]:
    """The type of an option that is one of these."""
    return click.Choice([one.value for one in values])


def ip_address_or_none(ctx: click.Context, option: click.Parameter, value: str) -> str:
    """The callback of an option that is an IP address, or is not given."""
    from ipaddress import ip_address

    try:
        return str(ip_address(value)) if value else ""
    except ValueError:
        raise click.BadParameter(f"{value!r} is no IP address.", ctx, option) from None


def dry_run_option(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Only tell what would be done.")(function)


def yes_option(function: F) -> F:
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)
