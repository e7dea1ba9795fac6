"""Reads customers: from the vendor's own list, a CSV file as a spreadsheet writes it, or from [[customers]] tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import NoReturn

from ombud.apply.plans import PAYER_COLUMNS, payer_of_values
from ombud.apply.table import SLUG, SLUG_RULE, Table
from ombud.apply.wanted import EVERY_PRODUCT, WantedCustomer
from ombud.billing.parties import Payer
from ombud.errors import BadAddress, BadField, Misconfigured
from ombud.mail.address import canonical_domain, parse_address
from ombud.settings import known_names

#: Says what is wrong with the place that is being read.
Refuse = Callable[[str], NoReturn]

#: The value of the column `alternative`, or of `route`, that stands for no route of one's own.
NO_ROUTE = "none"
LANGUAGES = ("sv", "en")

_FIELDS: dict[str, str | None] = {
    "name": None,
    "org_number": "",
    "domain": "",
    "contact_name": "",
    "contact_email": "",
    "language": "sv",
}
_COLUMNS = ("slug", *_FIELDS)
_COLUMNS_TOO = ("own_smtp", "alternative", "group", *PAYER_COLUMNS)
_ORG_NUMBER = re.compile(r"(\d{6})-?(\d{4})", re.ASCII)


def customer_of_table(table: Table) -> WantedCustomer:
    """One [[customers]] table. Raises Misconfigured."""
    slug = table.slug()
    values = checked({name: table.text(name, default) for name, default in _FIELDS.items()}, table.refuse)
    routes = _routes_of_table(table) if table.has("route") or table.has("routes") else None
    group = table.text("group", "") if table.has("group") else None
    payer = _payer({name: table.text(name, "") for name in PAYER_COLUMNS if table.has(name)}, table.refuse)
    alternative = table.text("alternative", NO_ROUTE)
    table.close()
    return WantedCustomer(
        slug=slug, **values, routes=routes, alternative="" if alternative == NO_ROUTE else alternative, group=group, payer=payer,
        where=table.where,
    )  # fmt: skip


def _routes_of_table(table: Table) -> dict[str, str]:
    general = table.text("route", NO_ROUTE)
    return {**table.table("routes").texts_by_name(), **({} if general == NO_ROUTE else {EVERY_PRODUCT: general})}


# --- the list ------------------------------------------------------------------------------------------------------


def customers_of_csv(path: Path, alternatives: Mapping[str, str] | None) -> list[WantedCustomer]:
    """The customer list: UTF-8 (with a byte order mark or without), columns parted by commas or by semicolons.

    `alternatives` says which route a value of the column `alternative` stands for; None: each is what the customer has chosen in
    a campaign. Raises Misconfigured, naming the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise Misconfigured(reason=f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(reason=f"{path.name} is not UTF-8; save it as CSV UTF-8") from error
    header = text.partition("\n")[0]
    rows = csv.reader(
        StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True
    )
    try:
        names = [name.strip() for name in next(rows, [])]
        _check_header(path.name, names)
        return [_customer(f"{path.name}, line {rows.line_num}", names, row, alternatives) for row in rows if any(row)]
    except csv.Error as error:
        raise Misconfigured(reason=f"{path.name}, line {rows.line_num}: {error}") from error


def _check_header(file: str, columns: Sequence[str]) -> None:
    known = (*_COLUMNS, *_COLUMNS_TOO)
    for column in columns:
        if column not in known:
            raise Misconfigured(
                reason=f"{file}, line 1: the column {column!r} is not known; {known_names(column, known)}"
            )
    if not set(_COLUMNS) <= set(columns) or len(set(columns)) != len(columns):
        raise Misconfigured(reason=f"{file}, line 1: the columns must be {', '.join(_COLUMNS)}, each once")


def _customer(
    where: str, names: Sequence[str], row: Sequence[str], alternatives: Mapping[str, str] | None
) -> WantedCustomer:
    def refuse(reason: str) -> NoReturn:
        raise Misconfigured(reason=f"{where}: {reason}")

    if len(row) != len(names):
        refuse(f"it has {len(row)} columns, and the header has {len(names)}")
    values = {name: value.strip() for name, value in zip(names, row, strict=True)}
    slug, own_smtp, alternative = values.pop("slug"), values.pop("own_smtp", "no"), values.pop("alternative", None)
    group = values.pop("group", None)
    payer = _payer({name: values.pop(name) for name in PAYER_COLUMNS if name in values}, refuse)
    if not SLUG.fullmatch(slug):
        refuse(f"the slug {slug!r} {SLUG_RULE}")
    if own_smtp not in ("yes", "no", ""):
        refuse(f"own_smtp must be yes or no, not {own_smtp}")
    if alternatives is None:  # a choice: what was set by hand before goes
        chosen = "" if alternative in (None, NO_ROUTE) else alternative
        routes: dict[str, str] | None = None if alternative is None else {}
    else:
        chosen, routes = "", None if alternative is None else _routes(alternative, slug, alternatives, refuse)
    kept = checked({**values, "group": group or ""}, refuse)
    kept.pop("group")
    return WantedCustomer(
        slug=slug, **kept, routes=routes, alternative=chosen or "", group=group, payer=payer, where=where
    )


def _routes(alternative: str, slug: str, alternatives: Mapping[str, str], refuse: Refuse) -> dict[str, str]:
    """What the customer has chosen, as a route; `{slug}` in its name is the customer's."""
    route = alternatives.get(alternative, NO_ROUTE if alternative in ("", NO_ROUTE) else None)
    if route is None:
        refuse(f"[alternatives] does not say which route {alternative!r} is")
    return {} if route == NO_ROUTE else {EVERY_PRODUCT: route.replace("{slug}", slug)}


def _payer(values: Mapping[str, str], refuse: Refuse) -> Payer | None:
    try:
        return payer_of_values(values, values)
    except BadField as error:
        names = {field: name for name, field in PAYER_COLUMNS.items()}
        refuse(f"{names[str(error.details['field'])]}: {error.details['reason']}")


# --- the values ----------------------------------------------------------------------------------------------------


def checked(values: Mapping[str, str], refuse: Refuse) -> dict[str, str]:
    """A customer's values, in their one form; refuses what cannot be right."""
    for name, value in values.items():
        if not value.isprintable():
            refuse(f"{name} holds a character that cannot be printed")
    if not values["name"].strip():
        refuse("name is missing")
    if values["language"] not in LANGUAGES:
        refuse(f"language must be {' or '.join(LANGUAGES)}, not {values['language'] or 'nothing'}")
    _check_address(values["contact_email"], refuse)
    return {
        **values,
        "org_number": org_number(values["org_number"], refuse),
        "domain": canonical(values["domain"], refuse) if values["domain"] else "",
    }


def checked_customer(slug: str, values: Mapping[str, str]) -> dict[str, str]:
    """The values of one customer from elsewhere than a file (without a domain), in their one form. Raises BadField."""

    def refuse(reason: str) -> NoReturn:
        raise BadField(field="customer", reason=reason)

    check_slug(slug)
    kept = checked({**values, "domain": ""}, refuse)
    return {name: kept[name] for name in values}


def check_slug(slug: str) -> None:
    """Raises BadField when it cannot be one."""
    if not SLUG.fullmatch(slug):
        raise BadField(field="slug", reason=f"it {SLUG_RULE}")


def check_text(field: str, text: str) -> None:
    """A name for people. Raises BadField when it is none."""
    if not text.strip() or not text.isprintable():
        raise BadField(field=field, reason="it must be a text that can be printed")


def _check_address(text: str, refuse: Refuse) -> None:
    try:
        if text:
            parse_address(text)
    except BadAddress as error:
        refuse(f"the address {text} of contact_email cannot be used: {error.details['reason']}")


def org_number(text: str, refuse: Refuse) -> str:
    """A Swedish organisation number in its one form, 556677-8899, or "". Its last digit is a check digit (Luhn)."""
    if not text:
        return ""
    found = _ORG_NUMBER.fullmatch(text)
    if not found:
        refuse(f"the organisation number {text} must be ten digits, such as 556677-8899")
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(found[1] + found[2])]
    if sum(number - 9 if number > 9 else number for number in doubled) % 10:
        refuse(f"the organisation number {text} is mistyped: its check digit is wrong")
    return f"{found[1]}-{found[2]}"


def canonical(domain: str, refuse: Refuse) -> str:
    try:
        return canonical_domain(domain)
    except BadAddress as error:
        refuse(f"the domain {domain} cannot be used: {error.details['reason']}")
