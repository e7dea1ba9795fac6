"""Answers for people: tables, and values under each other, in Swedish or English. Imported only where one is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ombud.clock import STOCKHOLM
from ombud.mail.encodedword import without_unsafe

#: What the columns are called in Swedish; English has the names themselves, but for those that have two words here.
_SWEDISH = {
    "action": "åtgärd", "address": "adress", "advice": "gör så här", "algorithm": "algoritm", "alternative": "alternativ", "at": "tid",
    "attempts": "försök", "billable": "debiteras", "change": "ändring", "check": "kontroll", "code": "kod",
    "contact_email": "kontaktens e-post", "contact_name": "kontakt", "count": "antal", "created_at": "skapad", "credentials": "nycklar",
    "customer": "kund", "detail": "detalj", "domain": "domän", "domains": "domäner", "due_at": "nästa försök", "emails": "e-post",
    "found": "funnet", "from": "från", "handle": "nyckel", "keys": "DKIM-nycklar", "kind": "slag", "language": "språk",
    "limits": "gränser", "message": "meddelande", "message_id": "Message-ID", "mode": "läge", "month": "månad", "name": "namn",
    "ok": "", "org_number": "org.nr", "owner": "ägare", "password": "lösenord", "paused": "pausad", "product": "produkt", "proof": "styrkt genom",
    "proved_at": "styrkt", "provider": "slag av väg", "reason": "skäl", "recipient": "mottagare", "recipients": "mottagare",
    "region": "område", "remote": "server", "reply": "svar", "route": "väg", "routes": "vägar", "rule": "regel", "settings": "inställningar",
    "sign": "signeras", "size": "byte", "slug": "kortnamn", "state": "tillstånd", "states": "tillstånd", "stream": "ström",
    "subject": "ämne", "suspended": "avstängd", "tags": "etiketter", "to": "till", "type": "typ", "value": "värde",
}  # fmt: skip
_WIDE = 200  # into a file or a pipe there is no edge to keep to
#: What a person copies, or reads down the column: never broken in two.
_WHOLE = {"id", "slug", "handle", "at", "created_at", "proved_at", "due_at"}
_COLOURS = {
    "delivered": "green", "added": "green", "send": "green", "✔": "green", "changed": "yellow", "deferred": "yellow",
    "held": "yellow", "hold": "yellow", "unknown": "yellow", "removed": "red", "failed": "red", "expired": "red", "refuse": "red",
    "quarantined": "red", "✖": "red",
}  # fmt: skip


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], language: str) -> None:
    console = _console()
    if not rows:
        console.print(_text("Inget." if language == "sv" else "Nothing."))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        numbers = all(isinstance(row.get(column), int) and not isinstance(row[column], bool) for row in rows)
        table.add_column(
            heading(column, language), justify="right" if numbers else "left", overflow="fold", no_wrap=column in _WHOLE
        )
    for row in rows:
        table.add_row(*(_text(shown(row.get(column), language)) for column in columns))
    console.print(table)


def show_one(values: Mapping[str, Any], language: str) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in values.items():
        grid.add_row(heading(name, language), _text(shown(value, language)))
    _console().print(grid)


def heading(name: str, language: str) -> str:
    return _SWEDISH.get(name, name.replace("_", " ")) if language == "sv" else name.replace("_", " ")


def shown(value: Any, language: str) -> str:
    """A value for a person: Stockholm time, grouped numbers, nothing that could steer the terminal."""
    if value is None or value in ([], {}, ()):
        return "–"
    if isinstance(value, bool):
        return ("ja" if value else "nej") if language == "sv" else ("yes" if value else "no")
    if isinstance(value, datetime):
        return value.astimezone(STOCKHOLM).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(inner, language)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(shown(inner, language) for inner in value)
    return "\n".join(without_unsafe(line) for line in str(value).split("\n"))


def _text(shown: str) -> Text:
    return Text(shown, style=_COLOURS.get(shown.partition(" ")[0], ""))


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console
