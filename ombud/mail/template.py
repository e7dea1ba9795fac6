"""Templates without logic: `{{name}}` in a text is replaced by the recipient's value, once, and nothing else happens.

No expressions, attributes, loops or includes, and what a value holds is never looked at again: a template that a customer
writes can do nothing but name values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape as escape_html
from typing import Literal

from ombud.errors import BadField, MissingVariable, TooBig

MAX_RENDERED = 16 * 1024 * 1024  # characters

Value = str | int | float
Escape = Literal["none", "html"]

# Whatever stands in double braces is meant as a name; one that is no legal name has no value and is refused as missing,
# because the alternative is that a thousand tenants read "Hej {{Namn}}".
# Bounded and possessive: hostile braces cost no more than their length.
_PLACE = re.compile(r"\{\{ {0,20}+([^{}\r\n ][^{}\r\n]{0,199}+)\}\}")
_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Template:
    """A text taken apart once, to be rendered for many recipients."""

    pieces: tuple[str, ...]  # text, name, text, name, ... text

    @property
    def variables(self) -> frozenset[str]:
        """Every name that the text gives in double braces."""
        return frozenset(self.pieces[1::2])

    def render(self, values: Mapping[str, Value], escape: Escape, limit: int = MAX_RENDERED) -> str:
        """The text with its values. Raises MissingVariable, BadField for a value that is not text or a number, TooBig."""
        shown = {name: _shown(name, values, escape) for name in self.variables}
        pieces = [shown[piece] if n % 2 else piece for n, piece in enumerate(self.pieces)]
        if sum(map(len, pieces)) > limit:  # before they are joined: a long value may be named a thousand times
            raise TooBig(limit=limit)
        return "".join(pieces)


def parse(text: str) -> Template:
    """Take a text apart. Never raises: every text is a template."""
    pieces = _PLACE.split(text)
    return Template(tuple(piece.rstrip(" ") if n % 2 else piece for n, piece in enumerate(pieces)))


def variables(text: str) -> frozenset[str]:
    """Every name that the text gives in double braces."""
    return parse(text).variables


def render(text: str, values: Mapping[str, Value], escape: Escape, limit: int = MAX_RENDERED) -> str:
    """The text with its values, once; see Template.render."""
    return parse(text).render(values, escape, limit)


def _shown(name: str, values: Mapping[str, Value], escape: Escape) -> str:
    if not _NAME.fullmatch(name) or name not in values:
        raise MissingVariable(name=name)
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadField(field=name, reason="a value must be text or a number")
    text = str(value)
    return escape_html(text, quote=True) if escape == "html" else text
