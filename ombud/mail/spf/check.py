"""SPF evaluated (RFC 7208): for one sender as a receiver does it, or surveyed without one; either way as a tree that shows how.

`ask` answers one DNS question (name, type) with found, absent or unknown. Nothing here knows who asks whom.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from ombud.mail.spf.macro import Facts, expand, has_macros, validated_names
from ombud.mail.spf.record import ASKING, BadRecord, Record, Term, parse, spf_texts

if TYPE_CHECKING:
    from ombud.dns import Answer

Ask = Callable[[str, str], Awaitable["Answer"]]

MAX_LOOKUPS = 10  # RFC 7208 4.6.4
MAX_VOIDS = 2
MAX_MX = 10
#: A survey counts on past the limit, so that it can say by how much, but not for ever.
_SURVEY_LOOKUPS = 60


class Result(StrEnum):
    """RFC 7208 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105  # a result, and no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_ERRORS = (Result.TEMPERROR, Result.PERMERROR)
_QUALIFIERS = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


@dataclass(frozen=True, slots=True)
class Step:
    """One term as it was evaluated. `matched` is None when it was not, or cannot be without a sender. The counts are of what the
    term cost, with all that is below it."""

    term: Term
    target: str = ""
    matched: bool | None = None
    lookups: int = 0
    voids: int = 0
    problem: str = ""
    below: Tree | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """One domain's record as it was evaluated.

    `problem`: no_record, two_records, syntax, dns (nobody knows), too_many_lookups, too_many_voids, too_many_mx,
    include_without_record, redirect_without_record, loop; "" when there is none. `detail` is the term or the words that show it.
    """

    domain: str
    texts: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    result: Result = Result.NONE
    problem: str = ""
    detail: str = ""

    def walk(self) -> Iterator[tuple[Tree, Step]]:
        """Every step of this tree and those below it, in the order of evaluation."""
        for step in self.steps:
            yield self, step
            if step.below:
                yield from step.below.walk()

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Code, domain and detail of all that is wrong, the root's own first."""
        if self.problem:
            yield self.problem, self.domain, self.detail
        for step in self.steps:
            if step.problem and (step.problem, step.term.text) != (self.problem, self.detail):
                yield step.problem, self.domain, step.term.text
            if step.below:
                yield from step.below.problems()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a receiver concludes, or (surveyed) what the record is like. `explanation` is the domain owner's words on a fail."""

    result: Result
    tree: Tree
    lookups: int
    voids: int
    explanation: str = ""

    def problems(self) -> list[tuple[str, str, str]]:
        """Code, domain and detail of all that is wrong, the limits of the whole last."""
        found = list(self.tree.problems())
        limits = (("too_many_lookups", self.lookups, MAX_LOOKUPS), ("too_many_voids", self.voids, MAX_VOIDS))
        for code, count, most in limits:
            if count > most and code not in {known for known, *_ in found}:
                found.append((code, self.tree.domain, str(count)))
        return found


async def check_host(
    ask: Ask, ip: str, helo: str, mail_from: str, *, receiver: str = "unknown", timestamp: int = 0
) -> Verdict:
    """Evaluate for the client at `ip` that says `helo` and MAIL FROM `mail_from` ("" is the null sender, RFC 7208 2.4)."""
    local, _, domain = (mail_from or f"postmaster@{helo}").rpartition("@")
    sender = f"{local or 'postmaster'}@{domain}"  # RFC 7208 4.3
    evaluation = _Evaluation(ask, Facts(_address(ip), helo, sender, receiver, timestamp))
    tree = await evaluation.of(domain.lower().removesuffix("."))
    explanation = await evaluation.explanation(tree) if tree.result is Result.FAIL else ""
    return Verdict(tree.result, tree, evaluation.lookups, evaluation.voids, explanation)


async def survey(ask: Ask, domain: str, record: str | None = None) -> Verdict:
    """Evaluate everything that could be evaluated for some sender; limits do not stop it. `record`: as if that stood there.

    The result is that of a sender whom no term knows. `lookups` and `voids` are the worst that a receiver can meet.
    """
    evaluation = _Evaluation(ask, None)
    tree = await evaluation.of(domain.lower().removesuffix("."), record)
    return Verdict(tree.result, tree, evaluation.lookups, evaluation.voids)


def _address(ip: str) -> IPv4Address | IPv6Address:
    address = ip_address(ip)
    # RFC 7208 5: a client that came over IPv6 with a mapped address is an IPv4 client
    return getattr(address, "ipv4_mapped", None) or address


def _can_be_asked(domain: str) -> bool:
    """RFC 7208 4.3: no label empty or over 63, and more than one of them."""
    labels = domain.removesuffix(".").split(".")
    return len(domain) <= 253 and len(labels) > 1 and all(0 < len(label) <= 63 for label in labels)


class _Stop(Exception):
    """The evaluation ends here, with this result (RFC 7208 2.6.6, 2.6.7)."""

    def __init__(self, result: Result, problem: str, below: Tree | None = None) -> None:
        self.result, self.problem, self.below = result, problem, below


class _Evaluation:
    """One evaluation: what has been counted so far, over all records together."""

    def __init__(self, ask: Ask, facts: Facts | None) -> None:
        self._ask, self._facts = ask, facts
        self.lookups = self.voids = 0
        self._above: list[str] = []

    async def of(self, domain: str, text: str | None = None) -> Tree:
        if not _can_be_asked(domain):
            return Tree(domain, (), problem="no_record")
        texts: tuple[str, ...] = (text,) if text is not None else ()
        if text is None:
            answer = await self._ask(domain, "TXT")
            if answer.unknown:
                return Tree(domain, (), result=Result.TEMPERROR, problem="dns", detail=answer.why)
            texts = tuple(spf_texts(answer.values))
        if len(texts) != 1:  # RFC 7208 4.5
            two = len(texts) > 1
            return Tree(
                domain, texts, (), Result.PERMERROR if two else Result.NONE, "two_records" if two else "no_record"
            )
        try:
            record = parse(texts[0])
        except BadRecord as error:
            return Tree(domain, texts, (), Result.PERMERROR, "syntax", str(error))
        self._above.append(domain)
        tree = await self._evaluated(domain, record)
        self._above.pop()
        return tree

    async def _evaluated(self, domain: str, record: Record) -> Tree:
        steps: list[Step] = []
        redirect = record.one("redirect") if not record.one("all") else None  # RFC 7208 6.1
        for term in (*record.mechanisms, *([redirect] if redirect else [])):
            before = self.lookups, self.voids
            target, below, problem, stop = "", None, "", None
            matched: bool | None = None
            try:
                self._count(term)
                target = await self._target(term, domain)
                below = await self._below(term, target)
                matched = await self._matches(term, target, below)
            except _Stop as stopped:
                stop, problem = stopped, stopped.problem
            steps.append(Step(term, target, matched, self.lookups - before[0], self.voids - before[1], problem, below))
            if stop and (self._facts or self.lookups > _SURVEY_LOOKUPS):
                return Tree(domain, (record.text,), tuple(steps), stop.result, problem, term.text)
            if term.kind == "redirect" and below and not problem:
                return self._surveyed(domain, record, steps, below.result)
            if matched:
                steps += [Step(later) for later in record.mechanisms[len(steps) :]]
                return self._surveyed(domain, record, steps, _QUALIFIERS[term.qualifier])
        return self._surveyed(domain, record, steps, Result.NEUTRAL)  # RFC 7208 4.7

    def _surveyed(self, domain: str, record: Record, steps: list[Step], result: Result) -> Tree:
        """The tree with its result; a survey has gone on past what would have ended a real evaluation."""
        bad = [step for step in steps if step.problem or (step.below and step.below.result in _ERRORS)]
        if not bad or self._facts:
            return Tree(domain, (record.text,), tuple(steps), result)
        first = min(bad, key=lambda step: step.problem == "dns")  # what is wrong comes before what nobody knows
        below = first.below.result if first.below else None
        uncertain = first.problem == "dns" or (not first.problem and below is Result.TEMPERROR)
        result = Result.TEMPERROR if uncertain else Result.PERMERROR
        return Tree(
            domain, (record.text,), tuple(steps), result, first.problem, first.term.text if first.problem else ""
        )

    # --- one term ---

    def _count(self, term: Term) -> None:
        if term.kind not in ASKING:
            return
        self.lookups += 1
        if self.lookups > (MAX_LOOKUPS if self._facts else _SURVEY_LOOKUPS):
            raise _Stop(Result.PERMERROR, "too_many_lookups")

    async def _target(self, term: Term, domain: str) -> str:
        """The domain that the term is about, with its macros filled in; a survey leaves those that need a sender."""
        if term.kind not in ASKING:
            return ""
        if not term.domain:
            return domain
        if self._facts is None:
            return re.sub(r"%\{[dD]\}", domain, term.domain).lower()
        return (await expand(term.domain, self._facts, domain, self._ask)).lower()

    async def _below(self, term: Term, target: str) -> Tree | None:
        if term.kind not in ("include", "redirect") or self._is_open(target):
            return None
        if self._facts is None and target in self._above:
            raise _Stop(Result.PERMERROR, "loop")
        return await self.of(target.removesuffix("."))

    async def _matches(self, term: Term, target: str, below: Tree | None) -> bool | None:
        if below:
            return self._included(term, below)
        if term.kind == "all":
            return True
        if term.network:
            return self._facts.ip in term.network if self._facts else None
        if self._is_open(target):
            return None
        if not _can_be_asked(target):
            return False
        if term.kind == "exists":
            return (await self._found(target, "A", voids=True)) != ()
        if term.kind == "ptr":
            return await self._has_name_under(target)
        hosts = [target] if term.kind == "a" else await self._mail_hosts(target)
        return await self._is_at(hosts, term.prefixes)

    def _is_open(self, target: str) -> bool:
        """Whether only a sender would tell what the target is."""
        return self._facts is None and has_macros(target)

    def _included(self, term: Term, below: Tree) -> bool:
        """RFC 7208 5.2, 6.1. The problem of the included record is told where it is; here only what it makes of ours."""
        if below.result is Result.NONE:
            raise _Stop(Result.PERMERROR, f"{term.kind}_without_record")
        if below.result in _ERRORS and self._facts and term.kind == "include":
            raise _Stop(below.result, below.problem)
        return term.kind == "include" and below.result is Result.PASS and self._facts is not None

    async def _mail_hosts(self, domain: str) -> list[str]:
        exchanges = await self._found(domain, "MX", voids=True)
        if len(exchanges) > MAX_MX:
            raise _Stop(Result.PERMERROR, "too_many_mx")
        return [name for value in exchanges if _can_be_asked(name := value.partition(" ")[2])]

    async def _is_at(self, hosts: list[str], prefixes: tuple[int, int]) -> bool | None:
        for host in hosts:
            if self._facts is None:
                await self._addresses_of(host)
                continue
            ip = self._facts.ip
            kind, prefix = ("A", prefixes[0]) if ip.version == 4 else ("AAAA", prefixes[1])
            for value in await self._found(host, kind, voids=True):
                shift = ip.max_prefixlen - prefix
                if int(ip_address(value)) >> shift == int(ip) >> shift:
                    return True
        return False if self._facts else None

    async def _addresses_of(self, host: str) -> None:
        """A survey: void is a host without any address, for then it is so for every sender."""
        four = await self._found(host, "A")
        if not four and not await self._found(host, "AAAA"):
            self._void()

    async def _has_name_under(self, target: str) -> bool | None:
        if self._facts is None:
            return None
        names = await validated_names(self._facts.ip, self._ask)
        return any(name == target or name.endswith(f".{target}") for name in names)

    async def _found(self, name: str, kind: str, *, voids: bool = False) -> tuple[str, ...]:
        answer = await self._ask(name, kind)
        if answer.unknown:
            raise _Stop(Result.TEMPERROR, "dns")
        if voids and not answer.values:
            self._void()
        return answer.values

    def _void(self) -> None:
        self.voids += 1
        if self.voids > MAX_VOIDS and self._facts:
            raise _Stop(Result.PERMERROR, "too_many_voids")

    # --- the explanation ---

    async def explanation(self, tree: Tree) -> str:
        """RFC 7208 6.2: of the record that failed the sender, also after a redirect; an include's is not asked for."""
        assert self._facts is not None
        while tree.steps and tree.steps[-1].term.kind == "redirect" and (below := tree.steps[-1].below):
            tree = below
        exp = parse(tree.texts[0]).one("exp")
        if not exp:
            return ""
        target = await expand(exp.domain, self._facts, tree.domain, self._ask)
        answer = await self._ask(target, "TXT")
        if len(answer.values) != 1 or not answer.values[0].isascii():
            return ""
        try:
            return await expand(answer.values[0], self._facts, tree.domain, self._ask, explaining=True)
        except BadRecord:
            return ""
