"""The vendor's service centre, seen from the case register: its lists read, and compared with ours.

A list is a CSV file as the service centre exports it. Columns, in any order: `number`, and `reference` or `customer` (the
slug or the organisation number); `state` and `alternative` where it has them. Swedish headings are understood too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from io import StringIO

from ombud.accounts import Customer, Directory
from ombud.campaigns.cases import Case, CaseState, attach_number, cases, close_case, reopen_case
from ombud.choices import Campaign
from ombud.db import Transaction
from ombud.errors import BadCsv, OmbudError

#: What a column may be headed, in small letters.
_HEADINGS = {
    "number": ("number", "case", "nummer", "ärende", "ärendenummer"),
    "reference": ("reference", "referens"),
    "customer": ("customer", "org_number", "kund", "org.nr", "orgnr", "organisationsnummer"),
    "state": ("state", "status", "tillstånd"),
    "alternative": ("alternative", "alternativ"),
}
_STATES = {
    CaseState.OPEN: ("open", "öppen", "öppet", "pågående", "pågår", "ny", "nytt", "new"),
    CaseState.CLOSED: ("closed", "stängd", "stängt", "avslutad", "avslutat", "klar", "klart", "done"),
}
_COLUMN = {heading: name for name, headings in _HEADINGS.items() for heading in headings}
_STATE = {word: state for state, words in _STATES.items() for word in words}


@dataclass(frozen=True, slots=True)
class CentreCase:
    """One line of the service centre's list."""

    line: int
    number: str
    about: str  # our reference, the customer's slug or its organisation number
    state: CaseState | None  # None: the list does not say
    alternative: str  # "": the list does not say


def read_list(content: bytes, file: str) -> list[CentreCase]:
    """Read a list: UTF-8, or as an older Excel saves it; parted by commas or semicolons. Raises BadCsv, naming the line."""
    text = _text(content, file)
    header = text.partition("\n")[0]
    rows = csv.reader(
        StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True
    )
    try:
        columns = _columns(next(rows, []), file)
        return [_line(rows.line_num, columns, row, file) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise BadCsv(file=file, line=rows.line_num, reason=str(error)) from error


def _text(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BadCsv(file=file, line=1, reason="save it as CSV UTF-8") from error


def _columns(header: Sequence[str], file: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, heading in enumerate(header):
        name = _COLUMN.get(heading.strip().lower())
        if name and name in found:
            raise BadCsv(file=file, line=1, reason=f"two columns say the {name}")
        if name:
            found[name] = place
    if "number" not in found or not {"reference", "customer"} & set(found):
        raise BadCsv(file=file, line=1, reason="it needs the columns number and customer (or reference)")
    return found


def _line(line: int, columns: Mapping[str, int], row: Sequence[str], file: str) -> CentreCase:
    def cell(name: str) -> str:
        place = columns.get(name)
        return row[place].strip() if place is not None and place < len(row) else ""

    number, about, word = cell("number"), cell("reference") or cell("customer"), cell("state").lower()
    if not number or not about:
        raise BadCsv(file=file, line=line, reason="a number and a customer (or reference) are needed")
    if word and word not in _STATE:
        raise BadCsv(file=file, line=line, reason=f"the state {word} is not known; write open or closed")
    return CentreCase(line, number, about, _STATE.get(word), cell("alternative"))


# --- whose case a line is ------------------------------------------------------------------------------------------


class _Register:
    """The register's cases of one campaign, by all that a line may call them."""

    def __init__(self, directory: Directory, campaign: Campaign, known: Iterable[Case]) -> None:
        self.by_customer = {case.customer_id: case for case in known}
        self._customers: dict[str, Customer] = {}
        for customer in directory.customers.values():
            names = (customer.slug, f"{campaign.slug}/{customer.slug}", _digits(customer.org_number))
            self._customers |= {name: customer for name in names if name}

    def customer(self, about: str) -> Customer | None:
        return self._customers.get(about) or self._customers.get(_digits(about) or about)


def _digits(org_number: str) -> str:
    """556677-8899, 5566778899 and 16556677-8899 are one and the same."""
    digits = "".join(one for one in org_number if one.isascii() and one.isdigit())
    return digits[-10:] if len(digits) in (10, 12) and set(org_number) <= set("0123456789- ") else ""


def import_list(
    tx: Transaction, directory: Directory, campaign: Campaign, lines: Sequence[CentreCase], file: str, by: str,
    now: datetime,
) -> list[tuple[CentreCase, Case, bool]]:  # fmt: skip
    """Attach the numbers of the list to our cases, and follow the states that it says. For each line: our case as it was, and
    whether anything changed. All or nothing: raises BadCsv for the first line that has no case here, or whose number is another's."""
    register = _Register(directory, campaign, cases(tx, campaign_id=campaign.id))
    done, seen = [], dict[int, int]()
    for line in lines:
        customer = register.customer(line.about)
        case = register.by_customer.get(customer.id) if customer else None
        if customer is None or case is None:
            why = "has made no choice, so there is no case here" if customer else "is not known here"
            raise BadCsv(file=file, line=line.line, reason=f"{line.about} {why}")
        if customer.id in seen:
            raise BadCsv(file=file, line=line.line, reason=f"{line.about} stands on line {seen[customer.id]} already")
        seen[customer.id] = line.line
        try:
            done.append((line, case, follow(tx, case, line.number, line.state, by, now)))
        except OmbudError as error:
            raise BadCsv(file=file, line=line.line, reason=error.text().rstrip(".")) from error
    return done


def follow(tx: Transaction, case: Case, number: str, state: CaseState | None, by: str, now: datetime) -> bool:
    """Bring our case to what the service centre says of it. Says whether anything changed. Raises as `attach_number`."""
    changed = attach_number(tx, case, number, by, now) if number else False
    if state is None or state is case.state:
        return changed
    move = close_case if state is CaseState.CLOSED else reopen_case
    move(tx, case, by, now)
    return True


# --- where they disagree -------------------------------------------------------------------------------------------


class Disagreement(StrEnum):
    NOT_THERE = "not_there"  # we have a case that the service centre's list lacks
    NOT_HERE = "not_here"  # the list has a case of a customer that has made no choice here
    UNKNOWN = "unknown"  # the list names someone whom we do not know
    TWICE = "twice"  # the list has two cases for one company
    NUMBER = "number"
    STATE = "state"
    ALTERNATIVE = "alternative"


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Disagreement
    customer: str  # the slug; for UNKNOWN what the list calls it
    here: str
    there: str
    line: int | None


def differences(
    directory: Directory, campaign: Campaign, known: Sequence[Case], lines: Sequence[CentreCase]
) -> list[Difference]:
    """Everything that the register and the list disagree on; by the list's lines, then what the list lacks. Pure."""
    register = _Register(directory, campaign, known)
    found: list[Difference] = []
    first: dict[int, CentreCase] = {}
    for line in lines:
        customer = register.customer(line.about)
        if customer is None:
            found.append(Difference(Disagreement.UNKNOWN, line.about, "", line.number, line.line))
        elif customer.id in first:
            there = f"{first[customer.id].number}, {line.number}"
            found.append(Difference(Disagreement.TWICE, customer.slug, "", there, line.line))
        else:
            first[customer.id] = line
            found += _compared(campaign, customer, register.by_customer.get(customer.id), line)
    for case in sorted(known, key=lambda one: one.reference):
        if case.customer_id not in first:
            slug = directory.customer_by_id(case.customer_id).slug
            found.append(Difference(Disagreement.NOT_THERE, slug, case.number or case.reference, "", None))
    return found


def _compared(campaign: Campaign, customer: Customer, case: Case | None, line: CentreCase) -> list[Difference]:
    if case is None:
        return [Difference(Disagreement.NOT_HERE, customer.slug, "", line.number, line.line)]
    alternative = _alternative(campaign, line.alternative)
    pairs = [
        (Disagreement.NUMBER, case.number, line.number),
        (Disagreement.STATE, case.state, line.state or case.state),
        (Disagreement.ALTERNATIVE, case.alternative, alternative or case.alternative),
    ]
    return [Difference(kind, customer.slug, here, there, line.line) for kind, here, there in pairs if here != there]


def _alternative(campaign: Campaign, said: str) -> str:
    """The slug of an alternative that a list calls by its slug or by its name in any language; else what it says."""
    for one in campaign.alternatives:
        if said.lower() in (one.slug.lower(), *(name.lower() for name in one.name.values())):
            return one.slug
    return said
