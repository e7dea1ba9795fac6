"""`ombud serve`: run the service until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from contextlib import ExitStack
from functools import partial

import click
import structlog
import uvloop

from ombud import maillog
from ombud.cli.ending import ends_within, leave_after
from ombud.cli.session import Command, Session
from ombud.errors import Misconfigured
from ombud.installation import Installation
from ombud.service import Service, serve

log = structlog.get_logger("ombud.cli")

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
#: Seconds for the whole of the service's stop: more than its doors, delivery and jobs take together, less than systemd is told to
#: wait. Only a database that hangs takes longer.
STOPPED_WITHIN = 50.0
#: Seconds for what is left to do when the service has stopped and everything is written down: to close the database and the loop.
CLOSED_WITHIN = 5.0

#: What to do when a door cannot be opened.
_ADVICE = {
    errno.EADDRINUSE: "another program has that port: end it, or take another by smtp.starttls_port, smtp.tls_port or http.port",
    errno.EACCES: "such a port takes CAP_NET_BIND_SERVICE; or take one from 1024 on by smtp.starttls_port, smtp.tls_port or http.port",
    errno.EADDRNOTAVAIL: "this machine has no such address: see smtp.host and http.host",
}


@click.command("serve", cls=Command)
@click.pass_obj
def command(session: Session) -> None:
    """Run the service: both doors, delivery and the jobs. The installation is made if it is not there.

    SIGTERM or Ctrl-C: close the doors, finish what is under way, stop. A second Ctrl-C: stop at once; nothing accepted is
    lost by that. SIGHUP: read the certificates again.
    """
    with ExitStack() as stack:
        # The loop is closed last: what may hang there holds up nothing that matters.
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        installation = stack.enter_context(session.opened(make=True))
        maillog.configure(installation.settings.log)
        try:
            runner.run(_serve(session, installation))
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "see smtp.host and http.host")
            raise Misconfigured(reason=f"cannot listen: {error}; {advice}") from error
        with ends_within(CLOSED_WITHIN):
            stack.close()


async def _serve(session: Session, installation: Installation) -> None:
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, _stop, until)
    loop.add_signal_handler(signal.SIGINT, _interrupted, until)
    await serve(installation, until, partial(_started, session))


def _interrupted(until: asyncio.Event) -> None:
    if until.is_set():
        # The queue is made for this: what was leased is due again, what was at its final dot is `unknown`.
        maillog.flush()
        os._exit(INTERRUPTED)
    _stop(until)


def _stop(until: asyncio.Event) -> None:
    if not until.is_set():
        until.set()
        leave_after(STOPPED_WITHIN, 1)  # as safe as a second Ctrl-C


def _started(session: Session, service: Service) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service)
    smtp, http = service.settings.smtp, service.settings.http
    here = f"http://{http.host}:{service.http.port}"
    url = http.public_url or here
    ports = {"starttls_port": service.smtp.starttls_port, "tls_port": service.smtp.tls_port}
    if session.as_json:
        session.show_json({"smtp": {"host": smtp.host, **ports}, "http": url, "pid": os.getpid()})
        return
    click.echo(
        session.say(
            f"Ombud is up in {service.installation.directory}.", f"Ombud är igång i {service.installation.directory}."
        )
    )
    click.echo(f"  SMTP  {smtp.host}  STARTTLS {ports['starttls_port']}  TLS {ports['tls_port']}")
    click.echo(f"  HTTP  {here}" + (f"  ({url})" if url != here else ""))
    click.echo(session.say("Ctrl-C stops it.", "Ctrl-C stannar tjänsten."))


def _reload(service: Service) -> None:
    try:
        service.reload()
    except Misconfigured as error:
        log.error("reload_failed", error=error.text())  # the old certificate goes on serving
