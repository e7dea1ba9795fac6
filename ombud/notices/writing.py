"""Writing letters: a text with names in it becomes plain text and HTML that say the same.

A text is a file in `texts/LANGUAGE`. Its first line is the subject; an empty line ends a block. A block is a paragraph, or

    - a point of a list
    > a button's words | {{its address}}
        a line to copy, set in with four spaces

A block, or a point, that begins with `? ` is left out when a value that it names is empty. `**bold**` and `[words]({{address}})`
stand in any of them. The text is taken apart before values are put in, so a value can never become anything but what it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from textwrap import fill

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2 import Template as Page

from ombud.errors import NotFound
from ombud.mail.encodedword import without_unsafe
from ombud.mail.template import Template, parse

WIDTH = 76
_INLINE = re.compile(r"\*\*(.+?)\*\*|\[([^\]]+)\]\((\{\{\w+\}\})\)")
_ADDRESS = re.compile(r"https?://[!-~]+")


class Form(StrEnum):
    PARAGRAPH = "paragraph"
    POINT = "point"
    BUTTON = "button"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a block: plain, bold, or a link (`address` then names where it leads)."""

    words: Template
    bold: bool = False
    address: Template | None = None


@dataclass(frozen=True, slots=True)
class Block:
    form: Form
    pieces: tuple[Piece, ...]
    optional: bool

    @property
    def names(self) -> frozenset[str]:
        found = [one.words.variables | (one.address.variables if one.address else frozenset()) for one in self.pieces]
        return frozenset().union(*found)


@dataclass(frozen=True, slots=True)
class LetterText:
    """A letter's text in one language, taken apart."""

    subject: Template
    blocks: tuple[Block, ...]
    version: str  # changes when a letter of the text does

    @property
    def needed(self) -> frozenset[str]:
        """The names without whose values it cannot be written."""
        needed = [block.names for block in self.blocks if not block.optional]
        return self.subject.variables.union(*needed)

    @property
    def names(self) -> frozenset[str]:
        return self.subject.variables.union(*(block.names for block in self.blocks))


@dataclass(frozen=True, slots=True)
class Written:
    """A letter as it goes out."""

    subject: str
    text: str
    html: str
    version: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A piece with its values, for the HTML."""

    words: str
    bold: bool = False
    address: str = ""


def write(name: str, language: str, values: Mapping[str, str]) -> Written:
    """Write the letter `name`. Raises NotFound for one that does not exist, MissingVariable for a value that is needed."""
    text, footer = letter_text(name, language), letter_text("footer", language)
    clean = {key: without_unsafe(value) for key, value in values.items()}
    blocks = [block for block in (*text.blocks, *footer.blocks) if _is_said(block, clean)]
    shown = [(block.form, _shown(block, clean)) for block in blocks]
    subject = " ".join(text.subject.render(clean, "none").split())
    html = _page().render(subject=subject, language=language, groups=_grouped(shown))
    return Written(subject, _plain(shown), html, text.version)


@cache
def letter_text(name: str, language: str) -> LetterText:
    """Raises NotFound."""
    place = resources.files("ombud.notices").joinpath("texts", language, f"{name}.txt")
    if not re.fullmatch(r"[a-z_]+", name) or not place.is_file():
        raise NotFound(kind="letter", name=f"{name} ({language})")
    source = place.read_text("utf-8")
    subject, _, body = source.partition("\n")
    # The footer is part of every letter, and so of its version.
    whole = source if name == "footer" else source + letter_text("footer", language).version
    version = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return LetterText(parse(subject.strip()), tuple(_blocks(body)), version)


def letter_names() -> list[str]:
    """Every letter there is."""
    places = resources.files("ombud.notices").joinpath("texts", "sv").iterdir()
    return sorted(place.name.removesuffix(".txt") for place in places if place.name not in ("footer.txt",))


# --- taking a text apart -------------------------------------------------------------------------------------------


def _blocks(body: str) -> list[Block]:
    found = []
    for paragraph in re.split(r"\n[ \t]*\n", body.strip("\n")):
        lines = paragraph.split("\n")
        if all(line.removeprefix("? ").startswith(("- ", "    ")) for line in lines):
            found += [_block(line) for line in lines]
        elif paragraph.strip():
            found.append(_block(paragraph))
    return found


def _block(source: str) -> Block:
    optional = source.startswith("? ")
    words = source.removeprefix("? ")
    if words.startswith("- "):
        return Block(Form.POINT, _pieces(words[2:]), optional)
    if words.startswith("    "):
        return Block(Form.COPY, (Piece(parse(words.strip())),), optional)
    if words.startswith("> "):
        label, _, address = words[2:].partition(" | ")
        return Block(Form.BUTTON, (Piece(parse(label.strip()), address=parse(address.strip())),), optional)
    return Block(Form.PARAGRAPH, _pieces(words), optional)


def _pieces(source: str) -> tuple[Piece, ...]:
    pieces, at = [], 0
    for found in _INLINE.finditer(source):
        if found.start() > at:
            pieces.append(Piece(parse(source[at : found.start()])))
        if found[1]:
            pieces.append(Piece(parse(found[1]), bold=True))
        else:
            pieces.append(Piece(parse(found[2]), address=parse(found[3])))
        at = found.end()
    if at < len(source):
        pieces.append(Piece(parse(source[at:])))
    return tuple(pieces)


# --- putting it together -------------------------------------------------------------------------------------------


def _is_said(block: Block, values: Mapping[str, str]) -> bool:
    return not block.optional or all(values.get(name) for name in block.names)


def _shown(block: Block, values: Mapping[str, str]) -> list[_Shown]:
    return [
        _Shown(
            one.words.render(values, "none"),
            one.bold,
            _checked(one.address.render(values, "none")) if one.address else "",
        )
        for one in block.pieces
    ]


def _checked(address: str) -> str:
    """Only what is an address becomes a link."""
    return address if _ADDRESS.fullmatch(address) else ""


def _plain(blocks: list[tuple[Form, list[_Shown]]]) -> str:
    lines: list[str] = []
    last = None
    for form, pieces in blocks:
        if lines and not (form is last and form in (Form.POINT, Form.COPY)):
            lines.append("")
        last = form
        words = "".join(f"{one.words}: {one.address}" if one.address else one.words for one in pieces)
        if form is Form.POINT:
            lines.append(_filled(words, "- ", "  "))
        elif form is Form.BUTTON:
            lines += [f"{pieces[0].words}:", pieces[0].address]
        elif form is Form.COPY:
            lines.append(f"    {words}")
        else:
            lines += [_filled(line) for line in words.split("\n")]
    return "\n".join(lines) + "\n"


def _filled(words: str, first: str = "", rest: str = "") -> str:
    """Lines that fit everywhere; an address stays whole, and hard spaces stay where they are."""
    return fill(
        words, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _grouped(blocks: list[tuple[Form, list[_Shown]]]) -> list[tuple[str, list[list[_Shown]]]]:
    """Points that follow each other are one list, lines to copy one box."""
    groups: list[tuple[str, list[list[_Shown]]]] = []
    for form, pieces in blocks:
        if groups and groups[-1][0] == form and form in (Form.POINT, Form.COPY):
            groups[-1][1].append(pieces)
        else:
            groups.append((form, [pieces]))
    return groups


@cache
def _page() -> Page:
    environment = Environment(
        loader=PackageLoader("ombud.notices", "texts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")
