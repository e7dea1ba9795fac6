"""The domains, and a name server for them in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ombud.sandbox.nameserver import NameServer, Zones

KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


@dataclass(frozen=True)
class Kind:
    """One make of domain: its records, and what a scan must say of it. `{d}` is the domain, `{dashed}` with dashes."""

    records: tuple[str, ...]
    fits: str
    reason: str
    fault: str = ""


KINDS = (
    Kind(("{d}. IN MX 10 mail.{d}.", "mail.{d}. IN A 127.0.0.1", '{d}. IN TXT "v=spf1 mx ~all"', '_dmarc.{d}. IN TXT "v=DMARC1; p=none"'), "own", "own_server"),
    Kind(("{d}. IN MX 10 mx.annan.example.", '{d}. IN TXT "v=spf1 include:spf.annan.example ~all"'), "ask", "other"),
    Kind(("{d}. IN MX 0 .", '{d}. IN TXT "v=spf1 -all"'), "subcontractor", "no_mail"),
    Kind(("{d}. IN A 127.0.0.1",), "subcontractor", "no_mail"),
    Kind(("{d}. IN MX 10 mail.{d}.", f'om1._domainkey.{{d}}. IN TXT "{KEY}"', '_dmarc.{d}. IN TXT "v=DMARC1; p=reject"'), "own", "own_server"),
    Kind((), "ask", "no_domain"),
    Kind(("{d}. IN MX 10 mail.{d}.",), "unknown", "no_answer", fault="SERVFAIL"),
)  # fmt: skip


def domains(number: int) -> Iterator[tuple[str, Kind]]:
    for n in range(number):
        yield f"kund{n}.example", KINDS[n % len(KINDS)]


def zones(number: int) -> Zones:
    made = Zones()
    lines = ['spf.annan.example. IN TXT "v=spf1 ip4:127.0.0.9 -all"', "mx.annan.example. IN A 127.0.0.9"]
    for domain, kind in domains(number):
        lines += [record.format(d=domain, dashed=domain.replace(".", "-")) for record in kind.records]
        if kind.fault:
            made.faults[domain] = kind.fault
    made.add("\n".join(lines))
    return made


async def _main(number: int) -> None:
    server = NameServer(zones(number))
    await server.start()
    print(json.dumps({"port": server.address[1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started us goes away


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
