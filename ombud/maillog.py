"""The operator's log: how it is written, and the sentences in it about mail, each in one place so that its words stay the same.

Two formats: a line of text for people, a JSON object a line for programs. Both carry UTC time, a level and the event's name.
There are no secrets, no contents and no recipient's address of ours in it (the other side's reply may name one); whatever came
from outside is escaped, so that no text can forge a line or speak to a terminal.

Lines are gathered and written by a thread, within a tenth of a second: neither a slow disk nor a full pipe holds up mail. What
is an error or worse is written before the call returns, and the rest when the process ends; but nothing waits long for a
reader that stands still.
"""

from __future__ import annotations

import atexit
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, TextIO

import structlog

from ombud.mail.reply import Reply
from ombud.settings import LogSettings

WRITE_EVERY = 0.1  # seconds
WRITE_AT = 64 * 1024  # characters
#: More than this is never kept waiting: lines are dropped, and counted, while nobody reads.
MOST_WAITING = 4 * 1024 * 1024
#: Whoever wants a line written now waits so many seconds for a stream that blocks, and not again until it moves.
PATIENCE = 1.0
LONGEST_REPLY = 300  # characters of the other side's words; all of them are kept with the attempt

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_INFO, _WARNING = _LEVELS["info"], _LEVELS["warning"]


# --- sentences -----------------------------------------------------------------------------------------------------


def accepted(
    message: str, customer: str, product: str, mode: str, door: str, peer: str, recipients: int, size: int, reason: str
) -> None:
    """A message was taken in, and is safe. `customer` and `product` are slugs, `reason` the code of the way that it takes."""
    if _state.level <= _INFO:
        _state.say("info", "accepted", {
            "message": message, "customer": customer, "product": product, "mode": mode, "door": door, "peer": peer,
            "recipients": recipients, "size": size, "reason": reason,
        })  # fmt: skip


def refused(code: str, customer: str, product: str, door: str, peer: str) -> None:
    """A message was not taken in; `code` is the error's. `customer` is "" when that is not known."""
    if _state.level <= _INFO:
        _state.say(
            "info", "refused", {"code": code, "customer": customer, "product": product, "door": door, "peer": peer}
        )


def outcome(message: str, n: int, attempt: int, result: str, route: str, remote: str, reply: Reply) -> None:
    """A try at one recipient, the `n`th of its message, ended. A lost answer is a warning: a second copy may arise from it."""
    level = "warning" if result == "unknown" else "info"
    if _state.level <= _LEVELS[level]:
        _state.say(level, result, {
            "message": message, "n": n, "attempt": attempt, "route": route, "remote": remote, "reply": str(reply)[:LONGEST_REPLY],
        })  # fmt: skip


def login_failed(door: str, peer: str) -> None:
    """Wrong credentials. What was given as user name is not written: now and then it is a password."""
    if _state.level <= _INFO:
        _state.say("info", "login_failed", {"door": door, "peer": peer})


def recovered(recipients: int) -> None:
    """What a worker held that is gone was taken back."""
    if _state.level <= _WARNING:
        _state.say("warning", "recovered", {"recipients": recipients})


# --- how it is written ---------------------------------------------------------------------------------------------


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Write the log to `stream` (stderr) from now on; structlog's loggers and the libraries' go the same way.

    Until this is called the sentences above are not written at all.
    """
    stream = stream or sys.stderr
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    _state.begin(_Output(stream), _text_line if as_text else _json_line, _LEVELS[settings.level])
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _pass_on],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=_Named,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


def flush() -> bool:
    """Write what is gathered, now. False when the stream blocks, so that it is not written."""
    return _state.flush()


#: Makes one line of level, event and fields.
Format = Callable[[str, str, Mapping[str, object]], str]


class _Output:
    """Gathers lines; a thread writes them, and nothing else does. A stream that fails or blocks costs lines, never mail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._waiting = 0  # characters
        self._dropped = 0
        self._added = self._written = 0  # lines
        self._blocked = False
        self._gathering = threading.Lock()
        self._moved = threading.Condition(self._gathering)
        self._some, self._enough = threading.Event(), threading.Event()
        self._closed = False
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def add(self, line: str) -> None:
        with self._gathering:
            if self._waiting > MOST_WAITING:
                self._dropped += 1
                return
            self._lines.append(line)
            self._added += 1
            self._waiting += len(line)
            if len(self._lines) == 1:
                self._some.set()
            if self._waiting >= WRITE_AT:
                self._enough.set()

    def write(self) -> bool:
        """Have what is gathered written, and wait for it; False when the stream blocks."""
        with self._gathering:
            wanted = self._added
            if self._written < wanted:
                self._some.set()
                self._enough.set()
                self._blocked = self._blocked or not self._moved.wait_for(lambda: self._written >= wanted, PATIENCE)
            return not self._blocked

    def close(self) -> None:
        self._closed = True
        self._some.set()
        self._enough.set()
        self.write()

    def _run(self) -> None:
        while not self._closed:
            self._some.wait()
            self._enough.wait(WRITE_EVERY)
            self._write_gathered()
        self._write_gathered()

    def _write_gathered(self) -> None:
        with self._gathering:
            lines, self._lines, self._waiting = self._lines, [], 0
            dropped, self._dropped = self._dropped, 0
            added = self._added
            self._some.clear()
            self._enough.clear()
        if dropped:
            lines.append(_json_line("warning", "log_lines_dropped", {"lines": dropped}))
        failed = False
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, a reader that is gone, a stream that is closed: mail goes on
            failed = True
        with self._gathering:
            if failed:
                self._dropped += len(lines)
            self._written, self._blocked = added, False
            self._moved.notify_all()


class _State:
    """Where the log goes: one for the process, as its stderr is."""

    def __init__(self) -> None:
        self.level = 100  # nothing, until `configure`
        self._format: Format = _json_line
        self._output: _Output | None = None

    def begin(self, output: _Output, format: Format, level: int) -> None:
        before, self._output, self._format, self.level = self._output, output, format, level
        if before:
            before.close()

    def say(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        if output := self._output:
            output.add(self._format(level, event, fields))
            if level in ("error", "critical"):
                output.write()  # the process may be about to end

    def flush(self) -> bool:
        return self._output.write() if self._output else True


def _json_line(level: str, event: str, fields: Mapping[str, object]) -> str:
    # Pure ASCII: control characters, and those that turn a terminal's text round, arrive as \uXXXX.
    values = ",".join([f"{_quoted(key)}:{_json_value(value)}" for key, value in fields.items()])
    return f'{{"timestamp":"{_now()}","level":"{level}","event":{_quoted(event)}{"," if values else ""}{values}}}\n'


def _json_value(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return _quoted(str(value))


def _text_line(level: str, event: str, fields: Mapping[str, object]) -> str:
    values = "".join([f" {key}={_text_value(value)}" for key, value in fields.items() if key != "exception"])
    trace = "".join(f"    {_printable(line)}\n" for line in str(fields.get("exception", "")).splitlines())
    return f"{_now()} {level:<7} {_printable(event)}{values}\n{trace}"


def _text_value(value: object) -> str:
    text = _printable(str(value))
    return f'"{text}"' if not text or " " in text else text


def _printable(text: str) -> str:
    return (
        text
        if text.isprintable()
        else "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])
    )


def _now() -> str:
    """The wall clock's time, whatever the business clock says; the second's text is made once."""
    global _last
    now, last = time.time(), _last
    second = int(now)
    if second != last[0]:
        last = _last = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return f"{last[1]}.{int((now - second) * 1000):03d}Z"


_last = (0, "")
_state = _State()
atexit.register(flush)


# --- other loggers -------------------------------------------------------------------------------------------------


class _Named:
    """What structlog's loggers end in: the name that they were asked for by."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        _state.say(level, event, {"logger": self.name, **fields} if self.name else fields)

    debug = info = warning = error = critical = msg


def _pass_on(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    event = str(event_dict.pop("event", ""))
    return ("error" if method == "exception" else method, event, event_dict), {}


class _FromLibraries(logging.Handler):
    """What libraries say to the standard library's logging, from warnings up."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        level = record.levelname.lower()
        _state.say(level if level in _LEVELS else "warning", record.getMessage(), fields)
