"""An SMTP server that takes everything and counts; with a folder it keeps each message too, byte for byte.

`python -m trials.bench.sink PORT [FOLDER]`; writes "mesg=N" and CR, as smtp-sink -c does. It stores what is to be checked,
and stands in where there is neither smtp-sink nor a C compiler (and then takes CPU from what is measured).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

_END = b"\r\n.\r\n"
_HELLO = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 50000000\r\n"
_ANSWERS = {b"EHLO": _HELLO, b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


class Sink(asyncio.Protocol):
    """One session."""

    count = 0
    folder: Path | None = None

    def __init__(self) -> None:
        self._data = bytearray()
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._take_message() if self._in_data else self._take_command():
            pass

    def _take_command(self) -> bool:
        end = self._data.find(b"\r\n")
        if end < 0:
            return False
        verb = bytes(self._data[:4]).upper()
        self._transport.write(_ANSWERS.get(verb, b"250 ok\r\n"))
        self._in_data = verb == b"DATA"
        # The CRLF of DATA stays: the end of an empty message begins with it.
        del self._data[: end if self._in_data else end + 2]
        if verb == b"QUIT":
            self._transport.close()
        return True

    def _take_message(self) -> bool:
        end = self._data.find(_END)
        if end < 0:
            return False
        Sink.count += 1
        if Sink.folder:
            stuffed = bytes(self._data[: end + 2])
            (Sink.folder / f"{Sink.count:06d}.eml").write_bytes(stuffed.replace(b"\r\n.", b"\r\n")[2:])
        del self._data[: end + len(_END)]
        self._in_data = False
        self._transport.write(b"250 taken\r\n")
        sys.stdout.write(f"mesg={Sink.count}\r")
        sys.stdout.flush()
        return True


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        Sink.folder = Path(sys.argv[2])
    asyncio.run(_main(int(sys.argv[1])))
