"""Encoded words (RFC 2047): text outside ASCII in a header, read without trust and written without surprises."""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64, a2b_qp, b2a_base64

# RFC 2047 2, with the language tag of RFC 2231 5. Bounded charset: a hostile run of "=?" costs no more than its length.
_WORD = re.compile(r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([bBqQ])\?([!->@-~]*)\?=")
_BETWEEN = re.compile(r"(?<=\?=)[ \t\r\n]+(?==\?)")
# Only charsets that mail uses: Python's list also holds idna, punycode and unicode_escape, which are slow or inventive.
_CHARSET = re.compile(
    r"utf-?8|(?:us-)?ascii|iso-?8859-\d{1,2}|latin-?1|(?:windows|cp)-?125\d|koi8-[ru]|iso-2022-(?:jp|kr)|shift[_-]jis"
    r"|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5|utf-16(?:[bl]e)?|macintosh"
)
# What text for a person never needs and what misleads: controls, line separators, direction overrides, half characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
_REPLACED = "\ufffd"

_LONGEST = 75  # RFC 2047 2
_FRAME = len("=?utf-8?q??=")
# RFC 2047 5 (3): what may stand for itself in a phrase, the narrowest of the three places.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
_Q = [chr(byte) if byte in _PLAIN else "_" if byte == 0x20 else f"={byte:02X}" for byte in range(256)]


def has_unsafe(text: str) -> bool:
    """Whether `text` holds a control character, a line separator, a direction override or half a character."""
    return _UNSAFE.search(text) is not None


def without_unsafe(text: str) -> str:
    """`text` with a replacement character for each that `has_unsafe` looks for (a tab becomes a space)."""
    return _UNSAFE.sub(_REPLACED, text.replace("\t", " "))


def is_word(text: str) -> bool:
    """Whether `text` is one whole encoded word and nothing else."""
    return _WORD.fullmatch(text) is not None


def decode(text: str) -> str:
    """The text that a header value shows to a person. Never raises; what it gives never `has_unsafe`.

    A word that cannot be decoded stays as it stands; a charset that we do not know becomes a replacement character.
    """
    if "=?" not in text:
        return text if text.isascii() and text.isprintable() else without_unsafe(text)
    # RFC 2047 6.2: white space between two encoded words is not shown.
    return without_unsafe("".join(_decoded_run(run) for run in _runs(_BETWEEN.sub("", text))))


def _runs(text: str) -> list[str | tuple[str, bytes]]:
    """Plain text, and the bytes of neighbouring words in one charset put together: some split a character between two."""
    found: list[str | tuple[str, bytes]] = []
    at = 0
    for word in _WORD.finditer(text):
        if word.start() > at:
            found.append(text[at : word.start()])
        at = word.end()
        _add(found, word)
    found.append(text[at:])
    return [run if isinstance(run, str) else (run[0], run[1]) for run in found]


def _add(found: list[str | tuple[str, bytes]], word: re.Match[str]) -> None:
    charset, content = word[1].lower(), _content(word[2], word[3])
    if content is None:
        found.append(word[0])
    elif found and isinstance(found[-1], tuple) and found[-1][0] == charset:
        found[-1] = (charset, found[-1][1] + content)
    else:
        found.append((charset, content))


def _content(encoding: str, payload: str) -> bytes | None:
    if encoding in "qQ":
        return a2b_qp(payload, header=True)
    try:
        return a2b_base64(payload + "=" * (-len(payload) % 4))
    except NotBase64:
        return None


def _decoded_run(run: str | tuple[str, bytes]) -> str:
    if isinstance(run, str):
        return run
    charset, content = run
    if not _CHARSET.fullmatch(charset):
        return _REPLACED
    try:
        return content.decode(charset, "replace")
    except LookupError:  # iso-8859-99
        return _REPLACED


def encode(text: str, room: int = _LONGEST) -> list[str]:
    """`text` as encoded words in UTF-8, to be parted by white space; each at most 75 characters, the first at most `room`.

    No word splits a character (RFC 2047 5). Every character is covered, so `decode` of them gives `text` back.
    """
    letters = [letter.encode() for letter in text]
    q = sum(len(_Q[byte]) for letter in letters for byte in letter)
    b = (sum(map(len, letters)) + 2) // 3 * 4
    return _packed(letters, room, as_q=q <= b * 1.5)  # a person can read Q, which is worth some letters


def _packed(letters: list[bytes], room: int, *, as_q: bool) -> list[str]:
    words: list[str] = []
    taken: list[bytes] = []
    left = _capacity(room, as_q=as_q)
    for letter in letters:
        cost = sum(len(_Q[byte]) for byte in letter) if as_q else len(letter)
        if cost > left and taken:
            words.append(_word(b"".join(taken), as_q=as_q))
            taken, left = [], _capacity(_LONGEST, as_q=as_q)
        taken.append(letter)
        left -= cost
    words.append(_word(b"".join(taken), as_q=as_q))
    return words


def _capacity(room: int, *, as_q: bool) -> int:
    payload = max(min(room, _LONGEST) - _FRAME, 12)  # the widest character takes twelve, whatever room there is
    return payload if as_q else payload // 4 * 3


def _word(content: bytes, *, as_q: bool) -> str:
    if as_q:
        return f"=?utf-8?q?{''.join(_Q[byte] for byte in content)}?="
    return f"=?utf-8?b?{b2a_base64(content, newline=False).decode()}?="
