"""`ombud dns spf`: a domain's SPF record as receivers evaluate it, and the record that it should become."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ombud.cli.session import NOT_OK, Command, Session, ip_address_or_none
from ombud.mail.encodedword import without_unsafe

if TYPE_CHECKING:
    from ombud.dns import Ask
    from ombud.mail.spf import Tree, Verdict

_PROBLEMS = {
    "no_record": ("no SPF record", "ingen SPF-post"),
    "two_records": ("more than one SPF record: receivers then take none", "fler än en SPF-post: mottagarna bryr sig då inte om någon"),
    "syntax": ("it cannot be read", "den går inte att läsa"),
    "dns": ("a name server did not answer: look again later", "en namnserver svarade inte: titta igen senare"),
    "too_many_lookups": ("more than 10 lookups: receivers give up", "fler än 10 uppslag: mottagarna ger upp"),
    "too_many_voids": ("more than 2 lookups lead nowhere: receivers give up", "fler än 2 uppslag leder ingenstans: mottagarna ger upp"),
    "too_many_mx": ("more than 10 mail servers under one mx", "fler än 10 mejlservrar under ett mx"),
    "include_without_record": ("an include leads to a domain without SPF", "ett include leder till en domän utan SPF"),
    "redirect_without_record": ("a redirect leads to a domain without SPF", "ett redirect leder till en domän utan SPF"),
    "loop": ("it includes itself", "den inkluderar sig själv"),
}  # fmt: skip


@click.command("spf", cls=Command)
@click.argument("domain")
@click.option(
    "--merge", metavar="INCLUDE", default="", help="Show the record with this include in it, before and after."
)
@click.option(
    "--ip", default="", callback=ip_address_or_none, help="Evaluate for a sender at this address, as a receiver would."
)
@click.option("--mail-from", default="", help="With --ip: the envelope's sender; the default is postmaster at DOMAIN.")
@click.option("--nameserver", "nameservers", multiple=True, metavar="IP[:PORT]", help="Ask this server instead.")
@click.pass_context
def spf(
    ctx: click.Context, domain: str, merge: str, ip: str, mail_from: str, nameservers: tuple[str, ...]
) -> None:  # fmt: skip
    """Show the SPF record of DOMAIN as a tree, with what each part costs. Exit code 3: receivers cannot use it."""
    from ombud.domains.names import typed_domain
    from ombud.mail.spf import Result

    session: Session = ctx.obj
    name = typed_domain(domain)
    ask = _ask(session, nameservers)
    verdict, after, merged = asyncio.run(_evaluated(ask, name, merge, ip, mail_from))
    values = {
        "domain": name, **_values(verdict), "tree": _tree_values(verdict.tree),
        "merged": merged and {"before": list(merged.before), "after": merged.after, "changed": merged.changed, **_values(after)},
    }  # fmt: skip
    if session.as_json:
        session.show_json(values)
    else:
        _show(session, verdict)
        if merged and after:
            _show_merged(session, merged, after)
    broken = verdict.result in (Result.PERMERROR, Result.NONE) or (after is not None and bool(after.problems()))
    if broken or (ip and verdict.result is not Result.PASS):
        ctx.exit(NOT_OK)


def _ask(session: Session, nameservers: tuple[str, ...]) -> Ask:
    """By the servers named, else as the installation asks where there is one, else as the system does."""
    from ombud.dns import Resolver
    from ombud.installation import MASTER_KEY

    if nameservers or not (session.directory / MASTER_KEY).exists():
        return Resolver(nameservers).ask
    from ombud.settings import load

    return Resolver(load(session.directory).delivery.dns_servers).ask


async def _evaluated(ask: Ask, domain: str, include: str, ip: str, mail_from: str) -> Any:
    """The verdict, and where something is to be merged also that of the record to publish. Raises BadField."""
    from ombud.dns import remembering
    from ombud.errors import BadField
    from ombud.mail.spf import BadRecord, check_host, merged, survey

    ask = remembering(ask)
    if ip:
        sender = mail_from or f"postmaster@{domain}"
        return await check_host(ask, ip, domain, sender), None, None
    verdict = await survey(ask, domain)
    if not include:
        return verdict, None, None
    try:
        made = merged(verdict.tree.texts, include)
    except BadRecord as error:
        raise BadField(field="spf", reason=f"the present record must be mended first: {error}") from error
    return verdict, await survey(ask, domain, made.after), made


def _values(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    problems = [{"code": code, "domain": domain, "detail": detail} for code, domain, detail in verdict.problems()]
    return {"result": verdict.result.value, "lookups": verdict.lookups, "voids": verdict.voids, "problems": problems}


def _tree_values(tree: Tree) -> dict[str, Any]:
    steps = [
        {
            "term": step.term.text, "lookups": step.lookups, "voids": step.voids, "matched": step.matched,
            "problem": step.problem or None, "below": _tree_values(step.below) if step.below else None,
        }
        for step in tree.steps
    ]  # fmt: skip
    return {"domain": tree.domain, "records": list(tree.texts), "steps": steps, "result": tree.result.value}


def _show(session: Session, verdict: Verdict) -> None:
    for line in _lines(verdict.tree, ""):
        click.echo(without_unsafe(line))
    click.echo(
        session.say(
            f"{verdict.result}: {verdict.lookups} of 10 lookups, {verdict.voids} of 2 that lead nowhere",
            f"{verdict.result}: {verdict.lookups} av 10 uppslag, {verdict.voids} av 2 som inte leder någonstans",
        )
    )
    for code, domain, detail in verdict.problems():
        click.secho(without_unsafe(f"✖ {domain}: {session.say(*_PROBLEMS[code])} ({detail})"), fg="red")


def _lines(tree: Tree, indent: str) -> Iterator[str]:
    for text in tree.texts or ("-",):
        yield f"{indent}{tree.domain}: {text}"
    for step in tree.steps:
        cost = f"  [{step.lookups}]" if step.lookups else ""
        yield f"{indent}  {step.term.text}{cost}{'  ✖ ' + step.problem if step.problem else ''}"
        if step.below:
            yield from _lines(step.below, indent + "    ")


def _show_merged(session: Session, merged: Any, after: Verdict) -> None:
    click.echo()
    if not merged.changed:
        click.echo(session.say("Nothing has to be changed.", "Inget behöver ändras."))
        return
    for text in merged.before:
        click.secho(without_unsafe(f"- {text}"), fg="red")
    click.secho(without_unsafe(f"+ {merged.after}"), fg="green")
    click.echo(session.say(f"{after.lookups} of 10 lookups afterwards", f"{after.lookups} av 10 uppslag efteråt"))
