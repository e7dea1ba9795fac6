"""The mail programs, each as people use it: what must be there for it, and how it is told what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.header import Header
from importlib.util import find_spec
from pathlib import Path

from trials.peers.house import House, run_quietly
from trials.peers.mail import ATTACHMENT, NAME, PLAIN_NAME, TEXT, Mail

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Task:
    """What a client is to do: one mail, with or without TLS and password."""

    house: House
    mail: Mail
    security: str  # starttls | tls | none
    password: str  # "": no login
    folder: Path  # for files that the client is to be given

    @property
    def port(self) -> int:
        return self.house.tls_port if self.security == "tls" else self.house.starttls_port


@dataclass(frozen=True)
class Call:
    """A program to run."""

    command: Sequence[str | Path]
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """One mail program. `absent` says why it cannot be run here, after installing into the folder what it may; "" when it can."""

    name: str
    absent: Callable[[Path], str]
    call: Callable[[Task], Call]
    attachment: str = NAME


# --- what is there ---------------------------------------------------------------------------------------------------


def _program(name: str) -> Callable[[Path], str]:
    return lambda _folder: "" if shutil.which(name) else "not installed"


def _module(name: str) -> Callable[[Path], str]:
    return lambda _folder: "" if find_spec(name) else "not installed"


def _npm_package(name: str) -> Callable[[Path], str]:
    def absent(folder: Path) -> str:
        if not shutil.which("npm"):
            return "not installed: npm"
        return run_quietly(
            ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", name], folder
        )

    return absent


# --- how each is told ------------------------------------------------------------------------------------------------


def _task_as_json(task: Task) -> bytes:
    return json.dumps({
        "host": "127.0.0.1", "port": task.port, "security": task.security, "ca_file": str(task.house.ca_file),
        "user": task.house.user, "password": task.password, "from": task.mail.sender, "to": task.mail.to,
        "subject": task.mail.subject, "text": TEXT, "file": str(_file(task)), "filename": task.mail.name,
        "mail": str(_eml(task)),
    }).encode()  # fmt: skip


def _file(task: Task) -> Path:
    path = task.folder / "attachment.pdf"
    path.write_bytes(ATTACHMENT)
    return path


def _eml(task: Task) -> Path:
    path = task.folder / "mail.eml"
    path.write_bytes(task.mail.as_bytes())
    return path


def _python(script: str) -> Callable[[Task], Call]:
    return lambda task: Call([sys.executable, SCRIPTS / script], _task_as_json(task))


def _nodemailer(task: Task) -> Call:
    modules = {"NODE_PATH": str(task.folder.parent / "nodemailer/node_modules")}
    return Call(["node", SCRIPTS / "with_nodemailer.cjs"], _task_as_json(task), modules)


def _swaks(task: Task) -> Call:
    text = task.folder / "text.txt"
    text.write_text(TEXT, newline="")
    tls = {"starttls": ["--tls"], "tls": ["--tls-on-connect"], "none": []}[task.security]
    login = (
        ["--auth", "PLAIN", "--auth-user", task.house.user, "--auth-password", task.password] if task.password else []
    )
    return Call([
        "swaks", "--server", "127.0.0.1", "--port", str(task.port), "--ehlo", "client.example", *tls, *login,
        "--from", task.mail.sender, "--to", task.mail.to, "--h-Subject", Header(task.mail.subject, "utf-8").encode(linesep=""),
        "--attach-type", "text/plain; charset=utf-8", "--attach-body", f"@{text}",
        "--attach-type", "application/pdf", "--attach-name", task.mail.name, "--attach", f"@{_file(task)}",
    ])  # fmt: skip


def _curl(task: Task) -> Call:
    scheme = "smtps" if task.security == "tls" else "smtp"
    tls = ["--ssl-reqd"] if task.security == "starttls" else []
    login = ["--user", f"{task.house.user}:{task.password}"] if task.password else []
    return Call([
        "curl", "--silent", "--show-error", "--verbose", "--max-time", "60", "--url", f"{scheme}://127.0.0.1:{task.port}/client.example",
        "--cacert", task.house.ca_file, *tls, *login, "--mail-from", task.mail.sender, "--mail-rcpt", task.mail.to,
        "--upload-file", _eml(task),
    ])  # fmt: skip


def _msmtp(task: Task) -> Call:
    tls = {
        "starttls": ["--tls=on", "--tls-starttls=on"],
        "tls": ["--tls=on", "--tls-starttls=off"],
        "none": ["--tls=off"],
    }[task.security]
    login = (
        ["--auth=plain", f"--user={task.house.user}", f"--passwordeval=echo {task.password}"]
        if task.password
        else ["--auth=off"]
    )
    trust = [f"--tls-trust-file={task.house.ca_file}"] if task.security != "none" else []
    return Call(
        ["msmtp", "--host=127.0.0.1", f"--port={task.port}", *tls, *trust, *login, "--timeout=60", f"--from={task.mail.sender}", "--", task.mail.to],
        task.mail.as_bytes("\n"),  # a sendmail of its kind reads text as Unix has it
    )  # fmt: skip


def _smtp_source(_task: Task) -> Call:
    raise NotImplementedError


CLIENTS = (
    Client("smtplib", _module("smtplib"), _python("with_smtplib.py")),
    Client("aiosmtplib", _module("aiosmtplib"), _python("with_aiosmtplib.py")),
    Client("nodemailer", _npm_package("nodemailer"), _nodemailer),
    Client("swaks", _program("swaks"), _swaks, PLAIN_NAME),
    Client("curl", _program("curl"), _curl),
    Client("msmtp", _program("msmtp"), _msmtp),
    Client("smtp-source", lambda _folder: "cannot: it knows neither STARTTLS nor AUTH", _smtp_source),
)


def environment(call: Call) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", **call.environment}
