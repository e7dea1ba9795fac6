"""The operator's log: two formats, nothing that outside text can forge, nothing that holds up mail."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ombud import maillog
from ombud.mail.reply import Reply
from ombud.settings import LogSettings

OK = Reply(250, "2.0.0", "queued")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers, level, state = logging.root.handlers[:], logging.root.level, dict(vars(maillog._state))
    before = structlog.get_config()
    yield
    if maillog._state._output:
        maillog._state._output.close()
    structlog.configure(**before)
    vars(maillog._state).update(state)
    logging.root.handlers[:], logging.root.level = handlers, level


class Log:
    """A log that is written to memory."""

    def __init__(self, format: str = "json", level: str = "info") -> None:
        self.stream = io.StringIO()
        maillog.configure(LogSettings(format=format, level=level), self.stream)

    def text(self) -> str:
        maillog.flush()
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


def accept(peer: str = "192.0.2.1") -> None:
    maillog.accepted("01hx", "eken", "hyra", "live", "smtp", peer, 2, 10_240, "customer_route")


def test_an_accepted_message_is_one_line_that_says_whose_how_and_which_way() -> None:
    log = Log()
    accept()
    (line,) = log.lines()
    assert line.pop("timestamp")[-1] == "Z"
    assert line == {
        "level": "info", "event": "accepted", "message": "01hx", "customer": "eken", "product": "hyra", "mode": "live",
        "door": "smtp", "peer": "192.0.2.1", "recipients": 2, "size": 10_240, "reason": "customer_route",
    }  # fmt: skip


def test_an_outcome_says_what_the_other_side_said_and_a_lost_answer_is_a_warning() -> None:
    log = Log()
    maillog.outcome("01hx", 1, 3, "deferred", "relay", "mx[192.0.2.9]:25", Reply(451, "4.7.1", "greylisted\nlater"))
    maillog.outcome("01hx", 0, 1, "unknown", "relay", "mx[192.0.2.9]:25", Reply(451, "4.4.2", "no answer"))
    deferred, unknown = log.lines()
    assert (deferred["event"], deferred["level"], deferred["n"], deferred["attempt"]) == ("deferred", "info", 1, 3)
    assert deferred["reply"] == "451 4.7.1 greylisted / later"
    assert (unknown["event"], unknown["level"]) == ("unknown", "warning")


def test_the_other_sentences_have_their_words() -> None:
    log = Log()
    maillog.refused("domain_not_proved", "eken", "hyra", "http", "192.0.2.1")
    maillog.login_failed("smtp", "192.0.2.1")
    maillog.recovered(7)
    assert [(line["event"], line["level"]) for line in log.lines()] == [
        ("refused", "info"), ("login_failed", "info"), ("recovered", "warning"),
    ]  # fmt: skip


def test_text_is_for_people() -> None:
    log = Log("text")
    accept()
    maillog.outcome("01hx", 0, 1, "delivered", "relay", "mx", OK)
    first, second = log.text().splitlines()
    assert (
        first.split(" ", 1)[1]
        == "info    accepted message=01hx customer=eken product=hyra mode=live door=smtp peer=192.0.2.1 recipients=2 size=10240 reason=customer_route"
    )
    assert second.endswith(
        'info    delivered message=01hx n=0 attempt=1 route=relay remote=mx reply="250 2.0.0 queued"'
    )


@pytest.mark.parametrize(("terminal", "first"), [(True, "2"), (False, "{")])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(terminal: bool, first: str) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]  # a terminal of its own is more than this needs
    maillog.configure(LogSettings(format="auto"), stream)
    accept()
    maillog.flush()
    assert stream.getvalue()[0] == first


@pytest.mark.parametrize("format", ["json", "text"])
@given(words=st.text(), event=st.text())
def test_no_outside_text_can_make_a_second_line_or_speak_to_a_terminal(format: str, words: str, event: str) -> None:
    log = Log(format)
    maillog.outcome("01hx", 0, 1, "failed", "relay", words, Reply(550, "5.1.1", words))
    structlog.get_logger("ombud.test").warning(event, words=words)
    text = log.text()
    assert text.count("\n") == 2
    assert all(char.isprintable() for line in text[:-1].split("\n") for char in line)


def test_json_gives_back_exactly_the_text_that_came() -> None:
    log = Log()
    words = "\x1b[2J\r\nFalskt å \u202e \ud800"
    maillog.outcome("01hx", 0, 1, "failed", "relay", words, OK)
    assert log.lines()[0]["remote"] == words


def test_a_long_reply_is_cut() -> None:
    log = Log()
    maillog.outcome("01hx", 0, 1, "failed", "relay", "mx", Reply(550, "", "x" * 100_000))
    assert len(log.lines()[0]["reply"]) == maillog.LONGEST_REPLY


@pytest.mark.parametrize(
    ("level", "events"),
    [("debug", ["accepted", "unknown", "a", "b", "c"]), ("info", ["accepted", "unknown", "b", "c"]), ("warning", ["unknown", "c"]), ("error", [])],
)  # fmt: skip
def test_what_weighs_less_than_the_level_is_not_written(level: str, events: list[str]) -> None:
    log = Log(level=level)
    accept()
    maillog.outcome("01hx", 0, 1, "unknown", "relay", "mx", OK)
    logger = structlog.get_logger("ombud.test")
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    assert [line["event"] for line in log.lines()] == events


def test_every_logger_of_ours_writes_here_with_its_name_and_its_fields() -> None:
    logger = structlog.get_logger("ombud.db")  # as modules do, before anything is configured
    log = Log()
    logger.warning(
        "old_sqlite",
        version="3.40.1",
        pieces=3,
        ratio=0.5,
        nothing=None,
        safe=False,
        many=("a", "b"),
        least=float("nan"),
    )
    (line,) = log.lines()
    assert line["logger"] == "ombud.db"
    assert (line["event"], line["version"], line["pieces"], line["nothing"]) == ("old_sqlite", "3.40.1", 3, None)
    assert (line["ratio"], line["safe"], line["many"], line["least"]) == (0.5, False, "('a', 'b')", "nan")


@pytest.mark.parametrize("format", ["json", "text"])
def test_an_exception_brings_its_traceback(format: str) -> None:
    log = Log(format)
    try:
        raise ValueError("what\x1b[2J")
    except ValueError:
        structlog.get_logger("ombud.smtp").exception("submit_failed", peer="192.0.2.1")
    text = log.text()
    assert "submit_failed" in text
    assert "Traceback" in text
    assert "\x1b" not in text


def test_libraries_warnings_are_here_and_their_chatter_is_not() -> None:
    log = Log()
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    (line,) = log.lines()
    assert (line["logger"], line["event"], line["level"]) == ("asyncio", "Task exception was never retrieved", "error")


def test_lines_are_written_within_a_moment_and_an_error_at_once() -> None:
    log = Log()
    accept()
    until = time.monotonic() + 5
    while not log.stream.getvalue() and time.monotonic() < until:
        time.sleep(0.01)
    assert log.stream.getvalue().count("\n") == 1
    accept()
    structlog.get_logger("ombud.db").critical("storage_failed")
    assert log.stream.getvalue().count("\n") == 3


def test_lines_of_many_threads_come_whole_and_each_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        maillog.configure(LogSettings(format="json"), stream)

        def write(thread: int) -> None:
            for n in range(2_000):
                maillog.outcome(f"m{thread}", n, 1, "delivered", "relay", "mx", OK)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        maillog.flush()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len({(line["message"], line["n"]) for line in lines}) == len(lines) == 8_000
    assert [line["n"] for line in lines if line["message"] == "m2"] == list(range(2_000))


def test_a_reader_that_stands_still_holds_up_nobody_and_lost_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maillog, "MOST_WAITING", 10_000)
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    maillog.configure(LogSettings(format="json"), stream)
    began = time.monotonic()
    for _ in range(5_000):  # about a megabyte, into a pipe of 64 KiB that no one reads
        accept()
    assert time.monotonic() - began < 5
    collected = bytearray()

    def read() -> None:
        while data := os.read(reader, 65536):
            collected.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    maillog.flush()
    accept()
    maillog.flush()
    assert maillog._state._output
    maillog._state._output.close()
    stream.close()
    thread.join()
    os.close(reader)
    lines = [json.loads(line) for line in collected.splitlines()]
    dropped = sum(int(line["lines"]) for line in lines if line["event"] == "log_lines_dropped")
    assert dropped > 0
    assert dropped + sum(line["event"] == "accepted" for line in lines) == 5_001


def test_a_stream_that_fails_costs_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    maillog.configure(LogSettings(format="json"), stream)
    stream.close()
    accept()
    structlog.get_logger("ombud.db").error("x")


def test_nothing_is_written_until_it_is_configured_and_what_is_gathered_is_written_at_the_end() -> None:
    program = (
        "from ombud import maillog; from ombud.settings import LogSettings; maillog.recovered(1);"
        "maillog.configure(LogSettings(format='json')); maillog.recovered(2)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    assert [json.loads(line)["recipients"] for line in done.stderr.splitlines()] == [2]


@pytest.mark.parametrize("format", ["json", "text"])
def test_the_sentences_of_the_hot_path_cost_microseconds(tmp_path: Path, format: str) -> None:
    with (tmp_path / "log").open("w") as stream:
        maillog.configure(LogSettings(format=format), stream)
        began = time.thread_time()
        for n in range(2_000):
            accept()
            maillog.outcome("01hx", n, 1, "delivered", "mailgun-eu", "mx1.post.example[192.0.2.99]:25", OK)
        spent = time.thread_time() - began
        maillog.flush()
        assert maillog._state._output
        maillog._state._output.close()
    assert spent / 4_000 < 50e-6  # 5 us here; a slow machine may take its time


def test_an_error_waits_a_moment_for_a_reader_that_stands_still_and_the_next_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maillog, "PATIENCE", 0.2)
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    maillog.configure(LogSettings(format="json"), stream)
    for _ in range(1_000):
        accept()
    began = time.monotonic()
    structlog.get_logger("ombud.db").error("database_gone")
    first, began = time.monotonic() - began, time.monotonic()
    structlog.get_logger("ombud.db").error("database_gone")
    assert 0.2 <= first < 2
    assert time.monotonic() - began < 0.2
    assert maillog.flush() is False
    thread = threading.Thread(target=lambda: list(iter(lambda: os.read(reader, 65536), b"")))
    thread.start()
    deadline = time.monotonic() + 10
    while not maillog.flush():
        assert time.monotonic() < deadline, "the log does not come back with its reader"
    assert maillog._state._output
    maillog._state._output.close()
    stream.close()
    thread.join()
    os.close(reader)
