"""What is wrong with the TXT records at a DKIM selector's name, as a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombud.mail.dkimrecord import KeyText, Same, compare, read_key


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding about a key. `breaks`: receivers cannot verify by it; else it works, and could be better."""

    code: str
    breaks: bool = True
    values: Mapping[str, object] = field(default_factory=dict)


def judge_key(texts: Sequence[str], expected: str) -> Fault | None:
    """What is wrong with these records beside the `expected` one ("": with any key at all); None when nothing is."""
    if expected:
        compared = compare(texts, expected)
        state, found = compared.state, compared.found
    else:
        state, found = _any_key(texts)
    if state is Same.SAME:
        return _remark(found) if found else None
    if state is Same.SEVERAL:
        return Fault("dkim.multiple", values={"n": sum(read_key(text) is not None for text in texts)})
    if state is Same.CUT and found:
        length, n = len(expected), len(found.text)
        return Fault("dkim.txt_truncated", values={"n": n, "length": length, "missing": length - n})
    if state is Same.SPOILED and found:
        return _spoiled(found)
    return Fault(*_CODES[state])


_CODES: Mapping[Same, tuple[str, bool, Mapping[str, object]]] = {
    Same.OTHER: ("dkim.other_key", True, {}),
    Same.REVOKED: ("dkim.revoked", True, {}),
    Same.UNREADABLE: ("dkim.syntax", True, {"reason": "p="}),
    Same.MISSING: ("dkim.syntax", True, {"reason": "p="}),
}


def _any_key(texts: Sequence[str]) -> tuple[Same, KeyText | None]:
    found = [read for text in texts if (read := read_key(text))]
    if len(found) != 1:
        return (Same.SEVERAL if found else Same.MISSING), None
    only = found[0]
    if only.revoked:
        return Same.REVOKED, only
    if not only.readable:
        return Same.UNREADABLE, only
    return (Same.SPOILED if {"quoted", "escaped", "version_not_first"} & set(only.notes) else Same.SAME), only


def _spoiled(found: KeyText) -> Fault:
    if "quoted" in found.notes:
        return Fault("dkim.quotes")
    if "escaped" in found.notes:
        return Fault("dkim.escaped")
    return Fault("dkim.syntax", values={"reason": "v=DKIM1"})


def _remark(found: KeyText) -> Fault | None:
    """The key is the right one. Is it a good one?"""
    for note, reason in (("sha1_only", "h="), ("not_email", "s=")):
        if note in found.notes:
            return Fault("dkim.syntax", values={"reason": reason})
    if "weak" in found.notes:
        return Fault("dkim.key_weak", values={"bits": found.bits})
    if "testing" in found.notes:
        return Fault("dkim.test_flag", breaks=False)
    return Fault("dkim.key_short", breaks=False, values={"bits": found.bits}) if "short" in found.notes else None
