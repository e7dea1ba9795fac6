"""A smart host's connection to a receiver: it ends with the world, whatever a thread is waiting for on it."""

from __future__ import annotations

import smtplib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ombud.sandbox.nameserver import resolver
from ombud.sandbox.relay import Onward, Passage, Relay


def test_a_world_that_stops_lets_no_thread_wait_for_a_greeting_that_never_comes() -> None:
    relay = Relay("egen-server", "smtp.molntjanst.example", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        onward = Onward(relay, resolver=resolver(("127.0.0.1", 1)), port=silent.getsockname()[1])
        with ThreadPoolExecutor(1) as threads:
            begun = threads.submit(onward.begin, "127.0.0.1", "a@eken.example", [])
            there, _ = silent.accept()
            with there:
                with suppress(TimeoutError):
                    begun.exception(0.2)  # by now it waits
                onward.hang_up()
                assert isinstance(begun.exception(5), smtplib.SMTPServerDisconnected)


def _wait_for_an_answer(client: smtplib.SMTP, reading: threading.Event) -> None:
    reading.set()
    with suppress(smtplib.SMTPServerDisconnected):
        client.getreply()


def test_a_world_that_stops_does_not_wait_for_a_receiver_that_says_nothing() -> None:
    relay, threads = Relay("egen-server", "smtp.molntjanst.example", "127.0.0.1"), ThreadPoolExecutor(1)
    passage = Passage(relay, Onward(relay, resolver=resolver(("127.0.0.1", 1)), port=0), threads, None)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = smtplib.SMTP()
        client.sock = socket.create_connection(silent.getsockname())
        reading = threading.Event()
        thread = threading.Thread(target=_wait_for_an_answer, args=(client, reading), daemon=True)
        thread.start()
        reading.wait(10)
        thread.join(0.1)  # by now it reads
        threads.shutdown()
        passage._client = client
        leaving = threading.Thread(target=passage.leave, daemon=True)
        leaving.start()
        leaving.join(5)
        thread.join(5)
        assert not leaving.is_alive()
        assert not thread.is_alive()
