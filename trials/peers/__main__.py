"""`python -m trials.peers`: a table of clients and cases, and one JSON object. Exit code 0: none that could be run failed."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trials.peers.attacks import command_injection, smuggling
from trials.peers.clients import CLIENTS, Client, Task, environment
from trials.peers.house import FOREIGN, OURS, House, open_house
from trials.peers.mail import Mail, fault


@dataclass(frozen=True)
class Case:
    """One thing that a client does, and the refusal that it must meet; "" when the mail must arrive."""

    name: str
    security: str
    refusal: str = ""
    login: str = "right"  # right | wrong | none
    sender: str = f"info@{OURS}"


CASES = (
    Case("STARTTLS", "starttls"),
    Case("TLS", "tls"),
    Case("wrong password", "starttls", "535 5.7.8", login="wrong"),
    Case("no TLS", "none", "530 5.7.0", login="none"),
    Case("foreign From", "starttls", "550 5.7.1", sender=f"info@{FOREIGN}"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    wanted = _wanted(arguments)
    with tempfile.TemporaryDirectory(prefix="ombud-peers-") as temporary:
        folder = Path(temporary)
        with open_house(folder / "house") as house:
            table = {client.name: _try(client, house, folder) for client in CLIENTS if client.name in wanted.only}
            attacks = (
                {"command-injection-tester": command_injection(house, _made(folder / "tester"))}
                if wanted.attacks
                else {}
            )
            if wanted.corpus:
                attacks |= {f"smuggling {name}": found for name, found in smuggling(house, wanted.corpus)}
    if not wanted.json:
        _print_table(table, attacks)
    print(json.dumps({"clients": table, "attacks": attacks}, ensure_ascii=False))
    found = [cell for row in table.values() for cell in row.values()] + list(attacks.values())
    return 1 if any(cell.startswith("failed") for cell in found) else 0


def _wanted(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [client.name for client in CLIENTS]
    parser = argparse.ArgumentParser(prog="python -m trials.peers", description=__doc__)
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=names, help=f"clients, of {','.join(names)}"
    )
    parser.add_argument("--no-attacks", dest="attacks", action="store_false", help="only the clients")
    parser.add_argument("--corpus", type=Path, help="a folder of false ends of data, as JSON, to be tried too")
    parser.add_argument("--json", action="store_true", help="no table, only JSON")
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.only) - set(names):
        parser.error(f"no such client: {', '.join(unknown)}")
    return wanted


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _try(client: Client, house: House, folder: Path) -> dict[str, str]:
    """Every case with this client: "ok", "failed: ..." or why it was not tried."""
    if why := client.absent(_made(folder / client.name)):
        why = why if why.startswith(("not installed", "cannot")) else f"not installed: {why}"
        return dict.fromkeys((case.name for case in CASES), why)
    found = {}
    for number, case in enumerate(CASES):
        found[case.name] = _outcome(client, case, house, _made(folder / f"{client.name}-{number}"))
        print(f"{client.name}, {case.name}: {found[case.name]}", file=sys.stderr, flush=True)
    return found


def _outcome(client: Client, case: Case, house: House, folder: Path) -> str:
    mail = Mail(uuid.uuid4().hex, case.sender, name=client.attachment)
    password = {"right": house.password, "wrong": house.password[::-1], "none": ""}[case.login]
    call = client.call(Task(house, mail, case.security, password, folder))
    done = subprocess.run(
        call.command, input=call.stdin, env=environment(call), capture_output=True, timeout=120, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    return (
        _accepted(done.returncode, said, mail, house)
        if not case.refusal
        else _refused(done.returncode, said, case, mail, house)
    )


def _accepted(code: int, said: str, mail: Mail, house: House) -> str:
    if code != 0:
        return f"failed: exit code {code}: {_last_line(said)}"
    found = house.arrived(mail.token)
    if found is None:
        return "failed: it did not arrive"
    wrong = fault(found, mail, house.record)
    return f"failed: {wrong}" if wrong else "ok"


def _refused(code: int, said: str, case: Case, mail: Mail, house: House) -> str:
    if house.has(mail.token):
        return "failed: it was delivered"
    if code == 0:
        return "failed: the client takes it for sent"
    reply, status = case.refusal.split()
    if not re.search(rf"\b{reply}[ -]{re.escape(status)}\b", said):
        return f"failed: no {case.refusal} in {_last_line(said)}"
    return "ok"


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["(it said nothing)"])[-1][:160]


def _print_table(table: dict[str, dict[str, str]], attacks: dict[str, str]) -> None:
    widths = [max(len(case.name), 6) + 2 for case in CASES]
    print(f"\n{'client':14}" + "".join(f"{case.name:{width}}" for case, width in zip(CASES, widths, strict=True)))
    for name, row in table.items():
        cells = list(row.values())
        if len(set(cells)) == 1 and cells[0] != "ok" and not cells[0].startswith("failed"):
            print(f"{name:14}{cells[0]}")
        else:
            print(
                f"{name:14}"
                + "".join(f"{cell.partition(':')[0]:{width}}" for cell, width in zip(cells, widths, strict=True))
            )
    for what, found in (
        *(
            (f"{name}, {case}", cell)
            for name, row in table.items()
            for case, cell in row.items()
            if cell.startswith("failed")
        ),
        *attacks.items(),
    ):
        print(f"{what}: {found}")
    print()


if __name__ == "__main__":
    sys.exit(main())
