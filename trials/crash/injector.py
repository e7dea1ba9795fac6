"""The customers: hand mail in at both doors at a steady pace, and write down every yes that they get.

What is not answered by the API is sent again with the same Idempotency-Key until it is; now and then something that was
answered long ago is, too. What is not answered by the SMTP door is left at that, and the next message is a new one: the protocol
knows no better. Ends by itself when it is told to on stdin, having had an answer for everything that had a key.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import smtplib
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from trials.crash.ledger import Ack, Ledger, Refusal
from trials.crash.mail import Mail, Sender, Writer

TIMEOUT = 20.0  # seconds for an answer
PAUSE = 0.05  # seconds before the next try while the service is away
LONGEST_AWAY = 120.0  # seconds; then something is wrong with more than the killed process
SMTP_SESSIONS, DOORS = 3, ("smtp", "smtp", "raw", "fields", "batch", "raw")
REPLAYED = 0.05  # of the answered calls are made a second time
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 507}


@dataclass(frozen=True, slots=True)
class Load:
    """What the injector is told when it is started, as JSON."""

    ledger: str
    seed: int
    rate: float  # calls a second, of all customers together
    nodes: list[dict[str, int]]  # the ports of each service process: http, starttls, tls
    ca_file: str
    senders: list[Sender]
    most: int = 0  # calls in all; 0: until it is told to end
    plain: bool = False  # no recipient whom the sink treats badly


class Gone(Exception):
    """The service did not answer: nobody knows what became of the call."""


#: How a killed service looks to smtplib. ValueError: its TLS was cut off in the middle.
_ENDED = (OSError, smtplib.SMTPException, ValueError)


class Injector:
    """A thread for each customer and door; `stop` lets each finish what it has in hand."""

    def __init__(self, load: Load) -> None:
        self._load, self._ledger, self._ending = load, Ledger(Path(load.ledger)), threading.Event()
        pairs = [(door, load.senders[n % len(load.senders)]) for n, door in enumerate(DOORS)]
        self._interval = len(pairs) / load.rate
        self._threads = [
            threading.Thread(
                target=self._work, args=(f"{load.seed % 1000:03}{door}{n}x", door, sender), name=f"{door}{n}"
            )
            for n, (door, sender) in enumerate(pairs)
        ]
        self._each = -(-load.most // len(pairs))
        self.failed = False

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _work(self, name: str, door: str, sender: Sender) -> None:
        client: SmtpClient | HttpClient = (
            SmtpClient(self._load, sender) if door == "smtp" else HttpClient(self._load, sender)
        )
        writer, chance, due, count = (
            Writer(name, door, sender, self._load.seed, plain=self._load.plain),
            random.Random(name),
            time.monotonic(),
            0,
        )
        try:
            while not self._ending.is_set() and not (self._each and count >= self._each):
                count += self._one(client, writer, chance)
                due = max(
                    due + self._interval, time.monotonic() - 1.0
                )  # what was missed is not made up for all at once
                self._ending.wait(max(0.0, due - time.monotonic()))
        except BaseException:
            self.failed = True
            raise
        finally:
            client.close()

    def _one(self, client: SmtpClient | HttpClient, writer: Writer, chance: random.Random) -> bool:
        """Hand one message in, in the way of its door. False: there was nobody to hand it to, and nothing was offered."""
        if isinstance(client, SmtpClient) and not client.connect():
            time.sleep(PAUSE)
            return False
        mail = writer.next()
        self._ledger.write(mail.offer)
        if isinstance(client, SmtpClient):
            self._once(client, mail)
            return True
        self._until_answered(client, mail)
        if chance.random() < REPLAYED:
            self._until_answered(client, mail)
        return True

    def _once(self, client: SmtpClient | HttpClient, mail: Mail) -> bool:
        """Hand it in once. True: it was answered, with yes or with a no for good."""
        try:
            entry = client.hand_in(mail)
        except Gone:
            time.sleep(PAUSE)
            return False
        self._ledger.write(entry, sync=True)
        return True

    def _until_answered(self, client: HttpClient, mail: Mail) -> None:
        end = time.monotonic() + LONGEST_AWAY
        while not self._once(client, mail):
            if time.monotonic() > end:
                raise TimeoutError(f"no answer for {LONGEST_AWAY} s")


@dataclass
class SmtpClient:
    """Python's own client, with TLS and a password; keeps its connection while it lasts."""

    load: Load
    sender: Sender
    _client: smtplib.SMTP | None = None

    def __post_init__(self) -> None:
        self._nodes = cycle(self.load.nodes)  # another one each time that it must connect anew

    def connect(self) -> bool:
        """Be connected and logged in, if that can be."""
        try:
            self._client = self._client or self._connected()
        except _ENDED:
            return False
        return True

    def hand_in(self, mail: Mail) -> Ack | Refusal:
        try:
            return self._hand_in(mail)
        except (Gone, *_ENDED) as error:
            self.close()
            raise Gone from error

    def _hand_in(self, mail: Mail) -> Ack | Refusal:
        client = self._client
        assert client
        code, words = client.mail(self.sender.address)
        for recipient in mail.offer.recipients:
            if code < 400:
                code, words = client.rcpt(recipient)
        if code < 400:
            code, words = client.data(mail.content)
        if code < 400:
            return Ack(mail.offer.token, words.decode("utf-8", "replace"))
        if code < 500:
            raise Gone
        client.rset()
        return Refusal(mail.offer.token, f"{code} {words.decode('utf-8', 'replace')}")

    def _connected(self) -> smtplib.SMTP:
        ports, context = next(self._nodes), ssl.create_default_context(cafile=self.load.ca_file)
        if self.sender.customer.endswith(("1", "3")):
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                "localhost", ports["tls"], "client.example", timeout=TIMEOUT, context=context
            )
        else:
            client = smtplib.SMTP("localhost", ports["starttls"], "client.example", timeout=TIMEOUT)
            client.starttls(context=context)
        client.login(self.sender.user, self.sender.password)
        return client

    def close(self) -> None:
        if self._client:
            self._client.close()
        self._client = None


@dataclass
class HttpClient:
    """Calls the API; keeps its connection while it lasts."""

    load: Load
    sender: Sender
    _client: http.client.HTTPConnection | None = None

    def __post_init__(self) -> None:
        self._nodes = cycle(self.load.nodes)  # another one each time that it must connect anew

    def hand_in(self, mail: Mail) -> Ack | Refusal:
        try:
            status, words = self._call("/v1/messages/batch" if mail.offer.door == "batch" else "/v1/messages", mail)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone from error
        if status == 202:
            return Ack(mail.offer.token, words)
        if status in _AGAIN:
            raise Gone
        return Refusal(mail.offer.token, f"{status} {words}")

    def _call(self, path: str, mail: Mail) -> tuple[int, str]:
        client = self._client = self._client or self._connected()
        headers = {
            "Authorization": f"Bearer {self.sender.api_key}", "Content-Type": "application/json", "Idempotency-Key": mail.offer.key,
        }  # fmt: skip
        client.request("POST", path, json.dumps(self._fields(mail)).encode(), headers)
        response = client.getresponse()
        return response.status, response.read().decode()

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", next(self._nodes)["http"], timeout=TIMEOUT)

    def _fields(self, mail: Mail) -> dict[str, Any]:
        offer = mail.offer
        if offer.door == "raw":
            return {"raw": base64.b64encode(mail.content).decode(), "to": offer.recipients}
        said = {"from": self.sender.address, "subject": f"Avi {offer.token}", "text": mail.text.replace("\r\n", "\n")}
        if offer.door == "fields":
            return {**said, "to": offer.recipients[:1], "bcc": offer.recipients[1:]}
        return {**said, "stream": "bulk", "recipients": [{"to": address} for address in offer.recipients]}

    def close(self) -> None:
        if self._client:
            self._client.close()
        self._client = None


def _main() -> None:
    told = json.loads(sys.stdin.readline())
    load = Load(**{**told, "senders": [Sender(**sender) for sender in told["senders"]]})
    injector = Injector(load)
    injector.start()
    if not load.most:
        sys.stdin.read()  # until whoever started us closes it, or is gone
        injector.stop()
    injector.wait()
    sys.exit(injector.failed)


if __name__ == "__main__":
    _main()
