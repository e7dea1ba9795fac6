"""The one SPF record that a domain should have when something is added to what it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ombud.mail.spf.record import VERSION, Record, Term, parse

#: What a new record ends with: `-all` makes some receivers refuse before they have looked for DKIM (RFC 9989 7.1).
_NEW_END = "~all"
_STRICTNESS = {"+": 0, "?": 1, "~": 2, "-": 3}


@dataclass(frozen=True, slots=True)
class Merged:
    """The record to publish instead of `before`. `changed`: whether anything is to be done."""

    before: tuple[str, ...]
    after: str

    @property
    def changed(self) -> bool:
        return self.before != (self.after,)


def merged(texts: Sequence[str], include: str) -> Merged:
    """The domain's SPF records (none, one, or wrongly several) as one, with `include:` that domain. Raises BadRecord for a text
    that breaks the grammar: it must be mended by a person first.

    What stands there stays, in its order and spelling; the include goes before the first `all` or `redirect`. Of several
    records the terms are put together, and the least strict `all` holds, so that nothing that passed is refused.
    """
    records = [parse(text) for text in texts]
    wanted = f"include:{include}"
    if not records:
        return Merged((), f"{VERSION} {wanted} {_NEW_END}")
    if len(records) == 1 and (wanted in _heard(records[0]) or not include):
        return Merged(tuple(texts), texts[0])
    terms = _together(records)
    if include and wanted not in {term.lower() for term in terms}:
        place = next((n for n, term in enumerate(terms) if _ends(term)), len(terms))
        terms.insert(place, wanted)
    return Merged(tuple(texts), " ".join((VERSION, *terms)))


def _heard(record: Record) -> set[str]:
    """The terms that are ever looked at: nothing behind `all` is."""
    heard = set()
    for term in record.mechanisms:
        if term.kind == "all":
            break
        heard.add(f"{term.kind}:{term.domain}".lower() if term.qualifier == "+" else term.text.lower())
    return heard


def _together(records: Sequence[Record]) -> list[str]:
    if len(records) == 1:
        return [term.text for term in records[0].terms]
    kept: dict[str, str] = {}
    ends: list[Term] = []
    for record in records:
        for term in record.terms:
            if term.kind == "all":
                ends.append(term)
            elif term.kind == "redirect":  # one record can have only one, and `all` would silence it
                kept.setdefault(f"include:{term.domain}".lower(), f"include:{term.domain}")
            else:
                kept.setdefault(term.text.lower().removeprefix("+"), term.text)
    end = min(ends, key=lambda term: _STRICTNESS[term.qualifier]).text if ends else _NEW_END
    return [*kept.values(), end]


def _ends(term: str) -> bool:
    return term.lower().lstrip("+-~?") == "all" or term.lower().startswith("redirect=")
