"""The recipients of a batch: up to a thousand a call, so each is checked by a few plain steps and not by a model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ombud.errors import BadAddress, BadField, OmbudError, TooManyRecipients
from ombud.mail import template
from ombud.mail.address import Mailbox, parse_address, parse_mailbox
from ombud.mail.encodedword import has_unsafe
from ombud.submission import Item

MOST_VARIABLES, LONGEST_NAME, LONGEST_VALUE = 100, 64, 10_000
_NAMES = frozenset(("to", "variables"))
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_VARIABLES: Mapping[str, str] = {}


def items(entries: Sequence[Any], subject: str, limit: int) -> list[Item | OmbudError]:
    """The recipients in order; one that cannot be used is its error. Raises BadField for none, TooManyRecipients for too many."""
    if not entries:
        raise BadField(field="recipients", reason="there is no recipient")
    if len(entries) > limit:
        raise TooManyRecipients(limit=limit)
    in_subject = template.variables(subject)
    return [_item(entry, in_subject) for entry in entries]


def _item(entry: Any, in_subject: frozenset[str]) -> Item | OmbudError:
    if not isinstance(entry, dict) or not entry.keys() <= _NAMES:
        return BadField(field="recipients", reason="a recipient is an object of `to` and `variables`")
    to = entry.get("to")
    if not isinstance(to, str):
        return BadField(field="to", reason="it is required, and must be text")
    variables = entry.get("variables")
    try:
        return Item(_mailbox(to), _variables(variables, in_subject) if variables else _none(variables))
    except (BadAddress, BadField) as error:
        return error


def _mailbox(to: str) -> Mailbox:
    """As `parse_mailbox`, whose reading of an address alone is the same, and whose reasons are better."""
    try:
        return Mailbox("", parse_address(to))
    except BadAddress:
        return parse_mailbox(to)


def _none(variables: Any) -> Mapping[str, str]:
    if variables is None or variables == {}:
        return _NO_VARIABLES
    raise BadField(field="variables", reason="they are an object of names and values")


def _variables(variables: Any, in_subject: frozenset[str]) -> Mapping[str, str]:
    if not isinstance(variables, dict):
        return _none(variables)
    if len(variables) > MOST_VARIABLES:
        raise BadField(field="variables", reason=f"there are more than {MOST_VARIABLES}")
    for name, value in variables.items():
        if isinstance(value, str):
            # What a text for a person holds is printable, but for its line ends; in a subject not even those may stand.
            if len(value) > LONGEST_VALUE or not (value.isprintable() or _is_text(value, name in in_subject)):
                raise BadField(
                    field=_called(name), reason=f"it holds control characters, or more than {LONGEST_VALUE} characters"
                )
        else:
            variables[name] = _number(name, value)
        # An empty name is the display name's (personal.NAME): it is not the call's to set.
        if not 0 < len(name) <= LONGEST_NAME:
            raise BadField(field="variables", reason=f"a name has 1 to {LONGEST_NAME} characters")
    return variables


def _number(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadField(field=_called(name), reason="a value must be text or a number")
    return str(value)


def _is_text(value: str, in_subject: bool) -> bool:
    return not (has_unsafe(value) if in_subject else _CONTROL.search(value))


def _called(name: str) -> str:
    return f"variables.{name[:LONGEST_NAME]}"
