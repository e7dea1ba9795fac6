"""The systems that are measured: how each is set up in a folder of its own, started and stopped.

All sign for the same hundred domains with the same keys, and send everything to the same sink. Ombud takes mail in by TLS
and AUTH, its only way, with all of its product logic on. Its peers come twice: by plain SMTP without a password, as they come,
and as a submission service has to be, by TLS (Haraka with AUTH too; Postfix would need a SASL service beside it).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from ombud.accounts import Mode, create_credential, load_directory, put_customer, put_product
from ombud.domains import keep_key, prove_domain
from ombud.installation import Installation, opened
from ombud.mail.dkim import dns_record, new_key, to_pem
from ombud.routing import Limits, assign, load_facts, put_route
from ombud.smtp.certificate import make_certificate
from ombud.usage import usage_of
from trials.bench.machine import free_port
from trials.bench.mails import DOMAINS

SELECTOR, PRODUCT, ROUTE = "s1", "hyra", "sink"
SIGNED = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
#: The name of a system that takes mail in as Ombud does.
BY_TLS = "+tls"
#: Where install-peers.sh puts what comes from npm.
HARAKA = Path(os.environ.get("OMBUD_PEERS", "var/peers")) / "haraka"
START_SECONDS = 120
#: To the sink at a time, for Ombud and Postfix alike. Haraka, which does not reuse connections, gets more.
CONNECTIONS = 20


class System(Protocol):
    """One system. `start` returns when it takes connections."""

    name: str
    port: int
    load_options: Sequence[str]

    def missing(self) -> str:
        """What keeps it from running here; "" when nothing does."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    @property
    def roots(self) -> list[int]:
        """The processes from which all of its processes descend."""
        ...


@dataclass
class Programs:
    """Processes of one system; each writes what it says to a file of its own."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str | Path], cwd: Path | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            )

    def wait_for(self, port: int) -> None:
        """Until someone listens there. Raises RuntimeError when a program ends instead, or takes too long."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if any(program.poll() is not None for program in self.running):
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        words = "\n".join(path.read_text(errors="replace")[-800:] for path in self.folder.glob("*.log"))
        raise RuntimeError(f"it does not come up on port {port}:\n{words}")

    def stop(self) -> None:
        for program in reversed(self.running):
            program.terminate()
        for program in self.running:
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self.running.clear()

    @property
    def pids(self) -> list[int]:
        return [program.pid for program in self.running]


class Ombud:
    """Ombud on SQLite: implicit TLS, AUTH PLAIN with a product-wide credential, so that each From domain decides the customer."""

    name: str = "ombud"

    def __init__(self, folder: Path, sink_port: int, keys: Path) -> None:
        self.folder, self.port, self.http_port = folder, free_port(), free_port()
        folder.mkdir(parents=True)
        self._programs = Programs(folder)
        self._write_settings()
        with opened(folder) as installation:
            self.user, self.api_key = _set_up(installation, sink_port, keys)
        self.load_options: Sequence[str] = ("-s", "implicit", "-a", self.user)

    def missing(self) -> str:
        return ""

    def start(self) -> None:
        self._programs.start("serve", [sys.executable, "-m", "ombud", "--dir", self.folder, "serve"])
        self._programs.wait_for(self.port)

    def stop(self) -> None:
        self._programs.stop()

    @property
    def roots(self) -> list[int]:
        return self._programs.pids

    def metered(self) -> int:
        """How many e-mails its meter has counted."""
        with opened(self.folder) as installation, installation.database.read() as tx:
            return sum(line.emails for line in usage_of(tx))

    def _write_settings(self) -> None:
        settings = (
            f'[service]\nname = "ombud.example"\n[smtp]\nstarttls_port = -1\ntls_port = {self.port}\n'
            f'[http]\nport = {self.http_port}\n[log]\nlevel = "warning"\n[limits]\nmessages_per_minute = 1000000000\n'
        )
        (self.folder / "ombud.toml").write_text(settings)


def _set_up(installation: Installation, sink_port: int, keys: Path) -> tuple[str, str]:
    """A customer, a proved domain and a key for each domain; the keys go to `keys` too. Gives "user:password" and the API key."""
    now, seal = datetime.now(UTC), installation.seal
    made = [new_key(domain, SELECTOR) for domain in DOMAINS]
    for key in made:
        (keys / f"{key.domain}.pem").write_bytes(to_pem(key))
        (keys / f"{key.domain}.txt").write_text(dns_record(key))
    with installation.database.write() as tx:
        put_product(tx, PRODUCT, "Hyra", now)
        for domain in DOMAINS:
            put_customer(tx, _slug(domain), f"Bostads AB {domain}", now)
        directory = load_directory(tx)
        for key in made:
            prove_domain(tx, key.domain, directory.customer(_slug(key.domain)), "operator", "bench", now)
            keep_key(tx, seal, key, now)
        settings = {"host": "127.0.0.1", "port": sink_port, "tls": "none"}
        limits = Limits(connections=CONNECTIONS)
        put_route(tx, seal, ROUTE, "smtp", settings, None, now, sign=True, billable=True, limits=limits)
        route = load_facts(tx).route(ROUTE)
        assert route
        assign(tx, None, directory.product(PRODUCT).id, route.id, now)
        credential = create_credential(tx, directory.product(PRODUCT), None, Mode.LIVE, now)
    return f"{credential.handle}:{credential.secret}", credential.api_key


def _slug(domain: str) -> str:
    return domain.partition(".")[0]


class PostfixOpendkim:
    """Postfix with OpenDKIM as its milter, as Debian packages them; tuned: no DNS, many processes, no delay on input."""

    def __init__(self, folder: Path, sink_port: int, keys: Path, *, tls: bool = False) -> None:
        self.name = "postfix+opendkim" + (BY_TLS if tls else "")
        self.load_options: Sequence[str] = ("-s", "implicit") if tls else ()
        self.folder, self.port = folder, free_port()
        self._sink_port, self._keys, self._tls = sink_port, keys, tls
        self._programs = Programs(folder)

    def missing(self) -> str:
        if os.geteuid() != 0:
            return "needs root (Postfix changes users)"
        absent = [name for name in ("postfix", "opendkim") if not _find(name)]
        return f"not installed: {', '.join(absent)}" if absent else ""

    def start(self) -> None:
        for name in ("etc", "spool", "data"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder / "data", "postfix")
        milter = self._write_opendkim()
        self._write_postfix(milter)
        self._programs.start("opendkim", [_find("opendkim"), "-x", self.folder / "opendkim.conf", "-u", "opendkim"])
        while not milter.exists():
            time.sleep(0.1)
        self._programs.start("postfix", [_find("postfix"), "-c", self.folder / "etc", "start-fg"])
        self._programs.wait_for(self.port)

    def stop(self) -> None:
        subprocess.run([_find("postfix"), "-c", self.folder / "etc", "stop"], capture_output=True, check=False)
        self._programs.stop()

    @property
    def roots(self) -> list[int]:
        return self._programs.pids

    def _write_opendkim(self) -> Path:
        rows = [(domain, f"{domain}:{SELECTOR}:{self._keys}/{domain}.pem") for domain in DOMAINS]
        (self.folder / "keytable").write_text("".join(f"{name} {key}\n" for name, key in rows))
        (self.folder / "signingtable").write_text("".join(f"{name} {name}\n" for name, _ in rows))
        sockets = self.folder / "milter"
        sockets.mkdir(exist_ok=True)
        shutil.chown(sockets, "opendkim")
        options = {
            "Mode": "s", "Canonicalization": "relaxed/relaxed", "Background": "no", "Syslog": "no", "UMask": "000",
            "Socket": f"local:{sockets}/opendkim", "KeyTable": f"file:{self.folder}/keytable",
            "SigningTable": f"file:{self.folder}/signingtable", "InternalHosts": "127.0.0.0/8", "RequireSafeKeys": "no",
            "SignHeaders": ",".join(SIGNED),
        }  # fmt: skip
        (self.folder / "opendkim.conf").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        return sockets / "opendkim"

    def _write_postfix(self, milter: Path) -> None:
        options = {
            "compatibility_level": "3.6", "queue_directory": f"{self.folder}/spool", "data_directory": f"{self.folder}/data",
            "daemon_directory": "/usr/lib/postfix/sbin", "command_directory": "/usr/sbin", "mail_owner": "postfix",
            "setgid_group": "postdrop", "myhostname": "gw.example", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "alias_maps": "", "alias_database": "",
            "maillog_file": f"{self.folder}/mail.log", "maillog_file_prefixes": str(self.folder), "local_recipient_maps": "",
            "local_transport": "error:none", "relayhost": f"[127.0.0.1]:{self._sink_port}", "smtp_host_lookup": "native",
            "smtp_dns_support_level": "disabled", "smtputf8_enable": "no", "smtpd_recipient_restrictions": "",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_client_connection_count_limit": "0",
            "default_process_limit": "100", "in_flow_delay": "0", "initial_destination_concurrency": str(CONNECTIONS),
            "default_destination_concurrency_limit": str(CONNECTIONS), "qmgr_message_active_limit": "20000",
            "smtpd_milters": f"unix:{milter}", "milter_protocol": "6", "milter_default_action": "tempfail",
            "smtp_tls_security_level": "none",
        }  # fmt: skip
        wrapped = ""
        if self._tls:
            certificate, key = make_certificate(self.folder / "etc", "gw.example")
            options |= {"smtpd_tls_cert_file": str(certificate), "smtpd_tls_key_file": str(key)}
            wrapped = " -o smtpd_tls_wrappermode=yes"
        (self.folder / "etc/main.cf").write_text("".join(f"{name} = {value}\n" for name, value in options.items()))
        (self.folder / "etc/master.cf").write_text(f"127.0.0.1:{self.port} inet n - n - - smtpd{wrapped}\n{_MASTER}")


# service, type, private, unprivileged, chroot, wakeup, processes, command
_MASTER = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
"""

_RELAY_ALL = """\
exports.register = function () {
  this.register_hook('connect', 'trust'); this.register_hook('rcpt', 'take'); this.register_hook('get_mx', 'sink');
};
exports.trust = (next, connection) => { connection.relaying = true; next(); };
exports.take = (next) => next(OK);
exports.sink = (next) => next(OK, { priority: 0, exchange: '127.0.0.1', port: %d });
"""


class Haraka:
    """Haraka with its DKIM plugin, as npm has them; two workers."""

    def __init__(self, folder: Path, sink_port: int, keys: Path, *, tls: bool = False) -> None:
        self.name = "haraka" + (BY_TLS if tls else "")
        self.load_options: Sequence[str] = ("-s", "implicit", "-a", "product:secret") if tls else ()
        self.folder, self.port = folder, free_port()
        self._sink_port, self._keys, self._tls = sink_port, keys, tls
        self._programs = Programs(folder)

    def missing(self) -> str:
        if not shutil.which("node"):
            return "not installed: node"
        modules = HARAKA / "node_modules"
        absent = [name for name in ("Haraka", "haraka-plugin-dkim") if not (modules / name).is_dir()]
        return f"not in {HARAKA}: {', '.join(absent)} (install-peers.sh)" if absent else ""

    def start(self) -> None:
        self._write_config()
        command: list[str | Path] = ["node", (HARAKA / "node_modules/Haraka/bin/haraka").resolve(), "-c", self.folder]
        self._programs.start("haraka", command, cwd=HARAKA)
        self._programs.wait_for(self.port)

    def stop(self) -> None:
        self._programs.stop()

    @property
    def roots(self) -> list[int]:
        return self._programs.pids

    def _write_config(self) -> None:
        config = self.folder / "config"
        for folder in (config / "dkim", self.folder / "plugins", self.folder / "queue"):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HARAKA / "node_modules/Haraka/config/connection.ini", config)
        files = {
            "smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=2\ndaemonize=false\nspool_after=-1\n",
            "plugins": "relayall\ndkim\n",
            "log.ini": "[main]\nlevel=WARN\n",
            "me": "gw.example\n",
            "outbound.ini": "concurrency_max=50\nenable_tls=false\nalways_split=false\nlocal_mx_ok=true\n",
            "headers.ini": "[main]\nreject=false\n[headers]\n",
            "dkim.ini": f"[sign]\nenabled=true\nselector={SELECTOR}\ndomain=gw.example\nheaders={','.join(SIGNED)}\n[verify]\nenabled=false\n",
        }
        if self._tls:
            certificate, key = make_certificate(config, "gw.example")
            files["smtp.ini"] += f"smtps_port={self.port}\n"
            files["plugins"] += "tls\nauth/flat_file\n"
            files["tls.ini"] = f"key={key.name}\ncert={certificate.name}\n"
            files["auth_flat_file.ini"] = "[core]\nmethods=PLAIN\n[users]\nproduct=secret\n"
        for name, text in files.items():
            (config / name).write_text(text)
        (self.folder / "plugins/relayall.js").write_text(_RELAY_ALL % self._sink_port)
        for domain in DOMAINS:
            folder = config / "dkim" / domain
            folder.mkdir(exist_ok=True)
            shutil.copy(self._keys / f"{domain}.pem", folder / "private")
            (folder / "selector").write_text(SELECTOR)


def _find(name: str) -> str:
    """A program that may lie where only root's PATH looks; "" when it is not there."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def sink_command(port: int) -> list[str]:
    """Postfix's smtp-sink, [] where it is not installed."""
    found = _find("smtp-sink")
    as_whom = ["-u", "nobody"] if os.geteuid() == 0 else []
    return [found, "-c", *as_whom, f"127.0.0.1:{port}", "1024"] if found else []


#: Makes a system in a folder, for a sink's port, with the keys of a folder.
SYSTEMS: dict[str, Callable[[Path, int, Path], System]] = {
    "ombud": Ombud,
    "postfix+opendkim": PostfixOpendkim,
    "haraka": Haraka,
    f"postfix+opendkim{BY_TLS}": partial(PostfixOpendkim, tls=True),
    f"haraka{BY_TLS}": partial(Haraka, tls=True),
}
