"""Answers for people: tables, and values under each other, in Swedish or English. Imported only where one is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ombud.clock import STOCKHOLM
from ombud.mail.encodedword import without_unsafe

#: What the columns are called in Swedish; English has the names themselves, but for those that have two words here.
_SWEDISH = {
    "action": "åtgärd", "assigned": "används av", "changed_at": "ändrad", "door": "dörr", "mail_from": "kuvertets avsändare", "records": "poster", "address": "adress", "advice": "gör så här", "algorithm": "algoritm", "alternative": "alternativ", "at": "tid",
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
    "switch": "omslag", "override": "undantag", "until": "till", "since": "sedan", "warning": "varning", "warnings": "varningar", "campaign": "kampanj", "products": "produkter", "by": "av", "canary_percent": "andel i procent", "canary_until": "andelen gäller till", "watched_until": "bevakas till", "margin_percent": "marginal i procentenheter", "before": "före", "rolled_back_at": "återställt", "rolled_back_by": "återställt av", "rollback_reason": "skäl till återställning",
    "start_date": "börjar", "risk_date": "riskdatum", "stop_date": "stoppdatum",
    "last_extension_date": "sista förlängning", "end_date": "val till och med", "chosen": "har valt",
    "version": "version", "page": "sida", "current": "gäller", "reason_code": "skälets slag",
    "asked_by": "begärt av", "asked_at": "begärt", "approved_by": "godkänt av", "approved_at": "godkänt",
    "text": "text", "answer": "svar", "answered_at": "besvarad", "answered_by": "besvarad av",
    "told": "underrättade", "objections": "invändningar", "unanswered": "obesvarade", "notice_date": "meddelat",
    "object_until": "invändning senast", "from_date": "från", "replaces": "ersätter", "place": "plats",
    "task": "uppgift", "letter": "brev", "sent_at": "skickat", "arrived_at": "framme", "number": "nummer",
    "by_operator": "av driften", "price": "pris", "words": "ord", "texts": "texter",
    "campaign_version": "kampanjversion", "peer": "från adress", "mail_leaves_until": "e-post skickas till",
    "after_stop": "efter stoppet", "hold_days": "hålls i dagar", "price_plan": "prisplan",
    "allowed_regions": "tillåtna områden", "reserve": "reservläge", "versions": "versioner", "zone": "tidszon",
    "needs": "behöver", "recommended": "rekommenderas", "offered": "erbjuds", "subprocessor": "underbiträde",
    "customers": "kunder", "ended_by": "avslutat av", "ended_at": "avslutat", "ended_why": "varför avslutat",
    "ends_at": "slutar",
    "email": "e-postadress", "phone": "telefon", "role": "roll", "may_choose": "får välja", "bounced_at": "studsade", "person": "person", "scope": "sida", "about": "om", "expires_at": "gäller till", "used": "använd", "notice": "meddelande", "tries": "försök", "why": "varför", "step": "steg", "outcome": "utfall", "url": "adress", "secret": "hemlighet", "automatic": "av sig själva", "settled_at": "klart",
    "currency": "valuta", "included": "ingår", "quantity": "antal", "unit_price": "à-pris", "left": "kvar", "fixed_fee": "fast avgift",
    "proration": "delas på dagar", "valid_from": "gäller från", "valid_until": "gäller till och med", "previewed_at": "förhandsgranskad",
    "locked_at": "låst", "locked_by": "låst av", "exported_at": "exporterad", "issued": "fakturadatum", "due": "förfaller",
    "original": "krediterar", "credits": "krediteras av", "invoice": "faktura", "over": "utöver", "projection": "i samma takt",
    "cap": "tak", "alarms": "larm", "by_product": "per produkt", "not_counted": "räknas inte", "day": "dag", "now": "nu",
    "difference": "skillnad", "ended": "slut", "new": "nya", "gone": "borta", "zero": "utan mejl", "ours": "hos oss",
    "theirs": "hos leverantören", "explained": "förklarad", "reasons": "skäl", "side": "sida", "unexplained": "oförklarade",
    "months": "månader", "emails_a_month": "mejl i månaden", "invoiced": "fakturerat", "period": "månad", "plan": "prisplan",
    "run": "körning", "invoices": "fakturor", "files": "filer", "net": "netto", "vat": "moms", "total": "summa", "format": "format",
    "stage": "läge", "ball": "bollen hos", "days": "dagar", "next": "nästa steg", "to_gmail": "till Gmail", "share": "andel", "bar": "", "flags": "märkt", "reference": "referens", "opened_at": "öppnat", "here": "hos oss", "there": "hos dem", "line": "rad", "messages": "mejl", "brownout": "provstopp", "paused_by": "pausat av", "held": "hållna", "released": "släppta", "still_held": "hålls kvar", "result": "utfall", "lacks": "saknas",
    "passed": "godkänt", "selector": "selektor", "record": "post", "dns_host": "DNS-tjänst", "mail_service": "e-posttjänst",
    "spf_lookups": "SPF-uppslag", "signers": "signerar", "organisation": "organisation",
    "receiver": "mottagare", "bulk_since": "massavsändare sedan", "said_by": "sagt av", "made": "skapad",
    "said": "sagt", "revoked_at": "återkallad", "applies": "gäller", "answers": "svar",
    "spf_domain": "SPF-domän", "signatures": "signaturer", "aligned": "stämmer",
    "from_seen": "avsändare som den sågs", "remarks": "anmärkningar", "codes": "koder", "link": "länk",
    "switch_at": "tar över", "keep_until": "finns kvar till",
    "meaning": "betydelse",
    "expected": "ska vara", "turn": "bollen hos", "what": "vad", "typed": "skriv i namnfältet", "weight": "vikt",
    "note": "tänk på", "next_check": "nästa kontroll", "stop_at": "stoppas", "verdict": "utlåtande", "do": "gör så här",
    "panel": "kontrollpanel", "name_style": "namn skrivs", "apex": "domänen själv skrivs", "long_txt": "långa värden",
    "minutes": "minuter", "how": "så här", "sure": "säkerhet", "source": "källa", "name_servers": "namnservrar",
    "host": "värd", "suffixes": "namnservrar slutar på", "servers": "namnservrar", "example": "exempel", "seen": "sedd",
    "first_at": "först", "last_at": "senast", "ttl": "giltigt (s)", "server": "frågad server", "covered": "täcks",
    "checked_at": "kontrollerad",
    "expired": "för gamla", "cancelled": "avbrutna", "suppressed": "spärrade", "balanced": "går jämnt upp",
    "smtp_user": "SMTP-användare", "smtp_password": "SMTP-lösenord", "api_key": "API-nyckel", "go_live": "tas i drift",
    "street": "gata", "extra": "adressens andra rad", "postal_code": "postnummer", "city": "ort", "country": "land",
    "endpoint": "e-fakturaadress", "order_number": "ordernummer", "cost_center": "kostnadsställe", "vat_number": "momsnummer",
    "contact": "kontakt", "hash": "kontrollsumma",
}  # fmt: skip
_WIDE = 200  # into a file or a pipe there is no edge to keep to
_GAP = 2  # between columns; one of it is where rich would draw a line
#: Moments have a space in them, and are not broken there; other values may be, between words.
_MOMENTS = {"at", "created_at", "proved_at", "due_at", "next_check", "stop_at", "since", "until"}
#: What may be cut off at the end of the line instead of taking another one; its first so many characters say enough.
_CUT = {"subject": 16, "from": 16}
_NARROW = 10  # a column that must be broken keeps so much: a day
_COLOURS = {
    "delivered": "green", "added": "green", "send": "green", "✔": "green", "changed": "yellow", "deferred": "yellow",
    "held": "yellow", "hold": "yellow", "unknown": "yellow", "removed": "red", "failed": "red", "expired": "red", "refuse": "red",
    "quarantined": "red", "✖": "red",
}  # fmt: skip


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], language: str, spare: Sequence[str] = ()
) -> None:
    """A table of these columns, without those that are empty in every row.

    A column `a+b` has the value of a above that of b. Where the terminal is too narrow, the `spare` columns are left out one
    after the other.
    """
    console = _console()
    if not rows:
        console.print(_text("Inget." if language == "sv" else "Nothing."))
        return
    full = [_Column.of(name, rows, language) for name in columns]
    full = [column for column in full if not column.empty] or full
    kept, widths = _that_fit(full, spare, console.width)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0), pad_edge=False, header_style="bold"
    )
    for column, width in zip(kept, widths, strict=True):
        table.add_column(column.heading, justify="right" if column.numbers else "left", overflow="fold", width=width)
    for row in zip(*(column.texts(width) for column, width in zip(kept, widths, strict=True)), strict=True):
        table.add_row(*row)
    console.print(table)
    if left_out := [column.name for column in full if column not in kept]:
        console.print(_left_out(left_out, language), style="dim")


def _left_out(names: Sequence[str], language: str) -> str:
    words = ", ".join(heading(part, language) for name in names for part in name.split("+"))
    return f"(Inte plats för: {words}.)" if language == "sv" else f"(No room for: {words}.)"


@dataclass(frozen=True, slots=True)
class _Column:
    """One column as a person would see it, with all the room there is."""

    name: str
    heading: str
    cells: Sequence[str]
    numbers: bool
    empty: bool

    @classmethod
    def of(cls, name: str, rows: Sequence[Mapping[str, Any]], language: str) -> _Column:
        parts = name.split("+")
        values = [[row.get(part) for part in parts] for row in rows]
        return cls(
            name, "\n".join(heading(part, language) for part in parts),
            ["\n".join(shown(value, language) for value in cell) for cell in values],
            all(isinstance(value, int) and not isinstance(value, bool) for cell in values for value in cell),
            all(value is None for cell in values for value in cell),
        )  # fmt: skip

    @property
    def widest(self) -> int:
        return max(cell_len(line) for text in (self.heading, *self.cells) for line in text.split("\n"))

    @property
    def least(self) -> int:
        """The width that breaks nothing which should stay whole."""
        parts = set(self.name.split("+"))
        if self.numbers or parts & _MOMENTS:
            return self.widest
        if parts <= set(_CUT):
            return min(self.widest, max(_CUT[part] for part in parts))
        return max((cell_len(word) for text in (self.heading, *self.cells) for word in text.split()), default=1)

    def texts(self, width: int) -> list[Text]:
        if set(self.name.split("+")) <= set(_CUT):
            return [_text("\n".join(_cut(line, width) for line in cell.split("\n"))) for cell in self.cells]
        return [_text(cell) for cell in self.cells]


def _that_fit(full: Sequence[_Column], spare: Sequence[str], room: int) -> tuple[list[_Column], list[int]]:
    """The columns to show, each with its width: all, or without as many of the spare ones as must go."""
    for gone in range(len(spare) + 1):
        kept = [column for column in full if column.name not in spare[:gone]]
        least = [column.least for column in kept]
        free = room - _GAP * (len(kept) - 1)
        if sum(least) <= free:
            break
    else:  # even so it is too narrow: something must be broken
        least = [min(each, _NARROW) for each in least]
    return kept, _shared_out([column.widest for column in kept], least, free)


def _shared_out(widest: Sequence[int], least: Sequence[int], free: int) -> list[int]:
    """Take from the widest that can spare something until all have room."""
    widths = list(widest)
    while sum(widths) > free and (loose := [n for n, width in enumerate(widths) if width > least[n]]):
        widths[max(loose, key=widths.__getitem__)] -= 1
    return widths


def _cut(line: str, width: int) -> str:
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


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
        return ", ".join(f"{name}: {_plain(inner, language)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(shown(inner, language) for inner in value)
    return "\n".join(without_unsafe(line) for line in str(value).split("\n"))


def _plain(value: Any, language: str) -> str:
    """A value beside its name. A number is not grouped there: it may be a port."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else shown(value, language)


def _text(shown: str) -> Text:
    return Text(shown, style=_COLOURS.get(shown.partition(" ")[0], ""))


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console
