"""The message after DATA: where it ends, that it is whole and clean, and how dot-stuffing is done and undone (RFC 5321 4.5.2)."""

from __future__ import annotations

import re

from ombud.mail.reply import Reply
from ombud.mail.smtp import replies

#: The only end of a message. Anything looser lets one message be read as two (CVE-2023-51764 and its kin).
END = b"\r\n.\r\n"
#: What ends a message whose last line has ended.
FINAL_DOT = b".\r\n"

_CR_ALONE = re.compile(rb"\r[^\n]")
_SWALLOWED_SIZES = 4  # how many times the largest message is read and thrown away before the line is cut


class Room:
    """Message bytes that all dialogues of one door may hold at the same time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def has(self, size: int = 0) -> bool:
        return self.used + size <= self.limit


class DataReader:
    """Takes one message off the front of a dialogue's input, in however many pieces that comes.

    Memory: at most the largest message; as soon as a message is lost its bytes are freed and the rest is read past.
    Time: every byte is looked at a fixed number of times, however small the pieces.
    """

    def __init__(self, data: bytearray, max_size: int, room: Room) -> None:
        """`data` is the dialogue's input, beginning right after the CRLF of the DATA command; it is consumed in place."""
        self._data = data
        self._max_size = max_size
        # Stuffing counts not towards the size (RFC 1870 3); at worst, lines of one dot, it adds a byte to every three.
        self._max_stuffed = max_size + max_size // 3
        self._room = room
        self._held = 0
        self._scanned = 0
        self._swallowed = 0
        self._refusal: Reply | None = None

    def read(self) -> bytes | Reply | None:
        """The message; or the refusal that it has earned; or None while its end is not there.

        When there is a result the end has been consumed too, unless the refusal is a 421, after which nothing is read.
        """
        end = self._find_end()
        if end is None:
            return self._wait()
        self._judge(end)
        result = self._refusal or unstuffed(bytes(memoryview(self._data)[:end]), self._max_size)
        del self._data[: end + len(END) - 2]
        return result

    def release(self) -> None:
        """Give back the room; to be called when the message has been answered, or the connection is gone."""
        self._hold(0)

    def _find_end(self) -> int | None:
        """Where the message ends, its last CRLF counted in, and the dot's line begins."""
        if not self._swallowed and self._data.startswith(END[2:]):
            return 0  # the CRLF before the dot is that of the DATA command itself
        found = self._data.find(END, self._scanned)
        if found >= 0:
            return found + 2
        self._scanned = max(0, len(self._data) - len(END) + 1)
        return None

    def _wait(self) -> Reply | None:
        self._judge(len(self._data) - len(END[2:-1]))  # its last two bytes may belong to the end
        if self._refusal is None:
            return None
        self._swallowed += self._scanned
        del self._data[: self._scanned]
        self._scanned = 0
        return replies.TOO_MUCH if self._swallowed > _SWALLOWED_SIZES * self._max_size else None

    def _judge(self, size: int) -> None:
        if self._refusal is None and size > self._max_stuffed:
            self._refusal = replies.TOO_BIG
        elif self._refusal is None and not self._room.has(size - self._held):
            self._refusal = replies.TOO_BUSY
        self._hold(0 if self._refusal else size)

    def _hold(self, size: int) -> None:
        self._room.used += size - self._held
        self._held = size


def unstuffed(content: bytes, max_size: int) -> bytes | Reply:
    """The message as it was before dot-stuffing, or why it is refused: it must be lines that end with CRLF, without NUL.

    `content` ends with CRLF or is empty.
    """
    # Every CR has its LF (the last byte is one), and there are no more LF than CR: half the time that counting CRLF takes.
    if _CR_ALONE.search(content) or content.count(b"\n") != content.count(b"\r"):
        return replies.BARE_LINE_BREAK
    if b"\0" in content:
        return replies.NUL_BYTE
    # RFC 5321 4.5.2: a dot that begins a line is taken away; what follows it no longer matters, the end has been found.
    plain = content.replace(b"\r\n.", b"\r\n")
    plain = plain[1:] if plain.startswith(b".") else plain
    return plain if len(plain) <= max_size else replies.TOO_BIG


def dot_stuffed(content: bytes) -> bytes:
    """The content as it goes over the wire (RFC 5321 4.5.2), ending with CRLF; FINAL_DOT follows it."""
    content = content.replace(b"\r\n.", b"\r\n..")  # no copy where nothing is found
    if content.startswith(b"."):
        content = b"." + content
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
