"""`ombud send`: send one message from the command line, by the same way in as all other mail."""

from __future__ import annotations

import asyncio
import mimetypes
import unicodedata
from pathlib import Path
from typing import TextIO

import click

from ombud.accounts import Directory, Mode, Sender, load_directory
from ombud.cli.session import Command, Session, choice_of
from ombud.db import GroupCommit
from ombud.db.snapshot import Snapshot
from ombud.domains import load_ownership
from ombud.errors import FileUnusable
from ombud.ids import new_id
from ombud.installation import Installation
from ombud.mail.address import Mailbox, parse_mailbox
from ombud.mail.compose import Attachment, Draft, compose
from ombud.queue import Stream
from ombud.routing import load_facts
from ombud.submission import Options, Receipt, Submission, Submissions

#: Whoever may read the installation's files needs no credential: what is kept with the message instead of one.
OPERATOR = 0


@click.command("send", cls=Command)
@click.option(
    "--from", "from_", required=True, metavar="ADDRESS", help="The sender, in a domain that the customer has proved."
)
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="A recipient; may be given many times.")
@click.option("--cc", multiple=True, metavar="ADDRESS", help="A recipient of a copy.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="A recipient that the others do not see.")
@click.option("--subject", default="", help="The subject.")
@click.option("--text", help="The message.")
@click.option(
    "--text-file", type=click.File(encoding="utf-8"), help="The file that holds the message; - for standard input."
)
@click.option("--html-file", type=click.File(encoding="utf-8"), help="The file that holds the message as HTML.")
@click.option(
    "--attach", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file to attach."
)
@click.option("--product", help="Which product it is from; not needed when there is only one.")
@click.option("--customer", help="Whose mail it is; the default is the owner of the sender's domain.")
@click.option(
    "--mode", type=choice_of(Mode), default=Mode.LIVE.value, show_default=True, help="Test mail never leaves."
)
@click.option(
    "--stream", type=choice_of(Stream), default=Stream.TRANSACTIONAL.value, show_default=True, help="What goes first."
)
@click.option("--tag", "tags", multiple=True, help="A word to find it by.")
@click.pass_obj
def command(
    session: Session, from_: str, to: tuple[str, ...], cc: tuple[str, ...], bcc: tuple[str, ...], subject: str, text: str | None,
    text_file: TextIO | None, html_file: TextIO | None, attach: tuple[Path, ...], product: str | None, customer: str | None, mode: str,
    stream: str, tags: tuple[str, ...],
) -> None:  # fmt: skip
    """Send one message. It is in the queue when this returns; a running service delivers it."""
    if text is not None and text_file:
        raise click.UsageError("Give --text or --text-file, not both.")
    draft = Draft(
        from_=parse_mailbox(from_), to=_mailboxes(to), cc=_mailboxes(cc), bcc=_mailboxes(bcc), subject=subject,
        text=_read(text_file) if text_file else text, html=_read(html_file) if html_file else None,
        attachments=tuple(_attachment(path) for path in attach),
    )  # fmt: skip
    options = Options(customer=customer or "", stream=Stream(stream), tags=tags)
    with session.opened() as installation:
        sender = _operator(installation, product, Mode(mode))
        receipt = asyncio.run(_submit(installation, sender, _submission(installation, draft, options)))
    session.show_done(
        {**receipt.answer, "mode": mode, "status": "accepted"},
        f"Accepted as {receipt.id}. `ombud messages show {receipt.id}` tells what becomes of it.",
        f"Mottaget som {receipt.id}. `ombud messages show {receipt.id}` visar hur det går.",
    )


def _mailboxes(texts: tuple[str, ...]) -> tuple[Mailbox, ...]:
    return tuple(parse_mailbox(text) for text in texts)


def _read(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise FileUnusable(file=file.name, reason="it is not UTF-8") from error


def _attachment(path: Path) -> Attachment:
    content_type, encoding = mimetypes.guess_type(path.name)
    kind = content_type if content_type and not encoding else "application/octet-stream"
    # macOS takes names apart (NFD); a mail should have the letters as people write them.
    return Attachment(unicodedata.normalize("NFC", path.name), kind, path.read_bytes())


def _operator(installation: Installation, product: str | None, mode: Mode) -> Sender:
    """The operator in the place of a product. The customer is named by the options or is the owner of the From domain."""
    with installation.database.read() as tx:
        directory = load_directory(tx)
    return Sender(OPERATOR, directory.product(product or _only_product(directory)), None, mode)


def _only_product(directory: Directory) -> str:
    if len(directory.products) != 1:
        raise click.UsageError(f"Name the --product: {', '.join(directory.products) or 'there is none yet'}.")
    return next(iter(directory.products))


def _submission(installation: Installation, draft: Draft, options: Options) -> Submission:
    message_id = f"<{new_id()}@{installation.settings.service.name}>"
    content = compose(draft, message_id=message_id, date=installation.clock.now())
    recipients = tuple(mailbox.address for mailbox in (*draft.to, *draft.cc, *draft.bcc))
    return Submission(draft.from_.address, recipients, content, "cli", options=options)


async def _submit(installation: Installation, sender: Sender, submission: Submission) -> Receipt:
    """By the one way in, in this process. Nobody to wake: the service looks for itself, every second."""
    group = GroupCommit(installation.database)
    directory, ownership, facts = Snapshot(load_directory), Snapshot(load_ownership), Snapshot(load_facts)
    for snapshot in (directory, ownership, facts):
        snapshot.refresh(installation.database)
    submissions = Submissions(
        installation.settings,
        installation.database,
        group,
        installation.clock,
        directory,
        ownership,
        facts,
        lambda: None,
    )
    submissions.look_at_disk()
    group.start()
    try:
        return await submissions.submit(sender, submission)
    finally:
        await submissions.counting.flush()
        group.stop()
