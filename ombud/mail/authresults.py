"""Authentication-Results (RFC 8601): what a receiving server says of a message that it has judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MAX = 16 * 1024
_FIELD = re.compile(rb"^Authentication-Results[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s=;"]+|[=;]')


@dataclass(frozen=True, slots=True)
class Method:
    """What one method came to: `dkim=pass header.d=kund.se`. Names and results are lower-case."""

    name: str
    result: str
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Results:
    """One field: who says it, and what."""

    server: str
    methods: tuple[Method, ...]

    def of(self, name: str) -> tuple[Method, ...]:
        return tuple(method for method in self.methods if method.name == name)


def results_of(content: bytes, server: str = "") -> Results | None:
    """What the receiving server wrote on top of the message; of `server` alone when it is named.

    Any sender can put such fields in a message; receivers remove those that claim to be theirs (RFC 8601 5), and put their own
    on top. So without a name only the topmost counts, and with one the topmost of that name.
    """
    head = content[: _head_end(content)]
    for found in _FIELD.finditer(head):
        results = parse(found[1].decode("utf-8", "replace"))
        if results and (not server or results.server == server.lower()):
            return results
        if not server:
            return None
    return None


def parse(value: str) -> Results | None:
    """The value of one field; None when it is none. What cannot be read in it is left out."""
    parts = _split(_without_comments(value[:_MAX]))
    if not parts or not parts[0]:
        return None
    methods = [method for part in parts[1:] if (method := _method(part))]
    return Results(parts[0][0].lower(), tuple(methods))


def _head_end(content: bytes) -> int:
    ends = [end for blank in (b"\r\n\r\n", b"\n\n") if (end := content.find(blank)) >= 0]
    return min(ends, default=len(content))


def _without_comments(text: str) -> str:
    """Comments nest, and may hold anything but unbalanced parentheses (RFC 5322 3.2.2); quoted strings are kept whole."""
    kept: list[str] = []
    depth, quoted, at = 0, False, 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and (depth or quoted):
            kept += [text[at : at + 2]] if not depth else []
            at += 2
            continue
        if letter == '"' and not depth:
            quoted = not quoted
        if letter == "(" and not quoted:
            depth += 1
        elif letter == ")" and depth:
            depth -= 1
            letter = " "
        if not depth:
            kept.append(letter)
        at += 1
    return "".join(kept)


def _split(text: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in _TOKEN.findall(text):
        if word == ";":
            parts.append([])
        else:
            parts[-1].append(word[1:-1] if word.startswith('"') else word)
    return parts


def _method(words: list[str]) -> Method | None:
    """`method[/version] = result *(name = value)`; spaces may stand around the equals signs."""
    pairs: list[tuple[str, str]] = []
    for at, word in enumerate(words):
        if word == "=" and 0 < at < len(words) - 1:
            pairs.append((words[at - 1].lower(), words[at + 1]))
    if not pairs:
        return None
    (name, result), *rest = pairs
    return Method(name.partition("/")[0], result.lower(), dict(rest))
