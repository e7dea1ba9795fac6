"""Judges the SPF of a name: does it let our server send, and does it work at all for anyone?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from ombud.domains.checks.asking import Asking, Views
from ombud.domains.checks.record import Look
from ombud.domains.checks.report import Looked, State
from ombud.domains.findings import Finding
from ombud.mail import spf
from ombud.mail.records import Purpose, Record, Weight

#: From so many look-ups on, one more service may be one too many.
NEAR = 9
#: What makes a whole record void, by the evaluation's own names.
_BROKEN = {
    "syntax": "spf.syntax", "two_records": "spf.multiple", "include_without_record": "spf.include_broken",
    "redirect_without_record": "spf.include_broken", "loop": "spf.loop", "too_many_lookups": "spf.lookups",
    "too_many_voids": "spf.void_lookups", "too_many_mx": "spf.lookups", "dns": "spf.unanswered",
}  # fmt: skip


async def look_at_spf(look: Look) -> Looked:
    """A name where SPF must let a server of ours pass: the domain itself on demand, or a subdomain that a provider sends from."""
    views = await look.asking.everywhere(look.record.name, "TXT")
    best = views.best
    if best.unknown:
        return look.looked(State.UNTESTABLE, best)
    texts = spf.spf_texts(best.values)
    if not texts:
        return await _none(look, views)
    expected = _wanted(texts, look.record)
    if len(texts) > 1:
        return _with(
            look.wrong(State.CONFLICT, views, "spf.multiple", n=len(texts), expected=expected), expected, texts
        )
    faults = [finding async for finding in faults_of(look, texts[0])]
    void = any(finding.code in _VOID for finding in faults)
    if expected != texts[0]:
        unheard = (
            [f"include:{one}" for one in look.record.includes if spf.merged(texts, one).changed] if not void else []
        )
        after = all(term in texts[0].lower() for term in unheard)
        code = "spf.after_all" if after else "spf.include_missing"
        about = {"found": texts[0], "mechanism": ", ".join(unheard), "expected": expected}
        missing = () if void and after else (look.finding(code, **about),)
        kept = tuple(finding for finding in faults if finding.code != code)
        return _with(look.looked(State.MISMATCH, best, *missing, *kept, sure=views.sure(best)), expected, texts)
    state = State.CONFLICT if void else State.OK
    return _with(look.looked(state, best, *faults, sure=views.sure(best)), expected, texts)


#: With one of these a receiver gets a permerror: the record lets nobody pass.
_VOID = ("spf.multiple", "spf.lookups", "spf.void_lookups", "spf.syntax", "spf.include_broken", "spf.loop")


def _with(looked: Looked, expected: str, texts: Sequence[str]) -> Looked:
    findings = tuple(_raised(finding, looked.record) for finding in looked.findings)
    return replace(looked, expected=expected, found=tuple(texts), findings=findings)


def _raised(finding: Finding, record: Record) -> Finding:
    """What is advice for a record that nobody needs is a must for one that mail hangs on."""
    must = record.weight is Weight.REQUIRED and finding.code in (
        *_VOID,
        "spf.missing",
        "spf.quotes",
        "spf.doubled_host",
        "spf.after_all",
    )
    return replace(finding, raised=Weight.REQUIRED) if must else finding


def _wanted(texts: Sequence[str], record: Record) -> str:
    """The one record to have; where a text cannot be read, the one that a domain with none would have."""
    try:
        for include in record.includes or ("",):
            texts = (spf.merged(texts, include).after,)
    except spf.BadRecord:
        return texts[0] if len(texts) == 1 else record.value
    return texts[0]


async def _none(look: Look, views: Views) -> Looked:
    code, values = "spf.missing", dict[str, str]()
    zone, name = look.asking.zone, look.record.name
    quoted = next((text for text in views.best.values if text.strip().lower().startswith('"v=spf1')), "")
    if quoted:
        code, values = "spf.quotes", {"found": quoted}
    else:
        doubled = await look.asking.first(f"{name}.{zone}", "TXT")
        if spf.spf_texts(doubled.values):
            code, values = "spf.doubled_host", {"found_at": f"{name}.{zone}", "found": doubled.values[0]}
    state = State.WRONG_HOST if code == "spf.doubled_host" else State.MISMATCH if quoted else State.MISSING
    return _with(look.wrong(state, views, code, **values), look.record.value, (quoted,) if quoted else ())


async def faults_of(look: Look, text: str) -> AsyncIterator[Finding]:
    """What is wrong with one SPF record, whoever it is for: first what makes it void, then what may be better."""
    verdict = await spf.survey(look.asking.first, look.record.name, text)
    broken = [
        finding
        for code, target, detail in verdict.problems()
        if (finding := _broken(look, verdict, code, target, detail))
    ]
    for finding in {finding.code: finding for finding in broken}.values():
        yield finding
    if not broken and NEAR <= verdict.lookups <= spf.MAX_LOOKUPS:
        yield look.finding("spf.lookups_near", n=verdict.lookups, found=tree_text(verdict))
    if not any(finding.code == "spf.syntax" for finding in broken):
        for finding in _remarks(look, spf.parse(text)):
            yield finding


def _broken(look: Look, verdict: spf.Verdict, problem: str, domain: str, detail: str) -> Finding | None:
    code = _BROKEN.get(problem)
    if problem == "no_record" or code is None:  # told where it is included
        return None
    values: dict[str, object] = {
        "found": tree_text(verdict),
        "reason": detail,
        "target": detail.partition(":")[2] or domain,
    }
    if code == "spf.lookups":
        values["n"] = verdict.lookups
    if code == "spf.void_lookups":
        values["n"] = verdict.voids
    if domain != look.record.name and code in ("spf.syntax", "spf.multiple"):
        code, values["target"] = "spf.include_broken", domain
    if problem == "dns":
        values["target"] = domain if domain != look.record.name else values["target"]
    return look.finding(code, **values)


def _remarks(look: Look, record: spf.Record) -> Iterator[Finding]:
    kinds = [term.kind for term in record.mechanisms]
    ending = record.one("all")
    about = {"found": record.text}
    if ending and ending.qualifier == "+":
        yield look.finding("spf.plus_all", **about)
    elif ending and ending.qualifier == "-":
        yield look.finding("spf.hard_fail", **about)
    elif not ending and not record.one("redirect"):
        yield look.finding("spf.no_all", **about)
    if "all" in kinds and kinds.index("all") != len(kinds) - 1:
        yield look.finding("spf.after_all", expected=_all_last(record), **about)
    if "ptr" in kinds:
        yield look.finding("spf.ptr", **about)


def _all_last(record: spf.Record) -> str:
    terms = [term.text for term in record.terms if term.kind != "all"]
    ending = record.one("all")
    return " ".join(("v=spf1", *terms, *([ending.text] if ending else [])))


def tree_text(verdict: spf.Verdict) -> str:
    """Which terms cost look-ups, in one line."""
    costs = [f"{step.term.text} ({step.lookups})" for step in verdict.tree.steps if step.lookups]
    return ", ".join(costs) or " ".join(verdict.tree.texts)


# --- the domain's own record, which nobody asks for -------------------------------------------------------------------------


async def advice_on_root(asking: Asking, domain: str, wanted: Sequence[Record], look: Look) -> list[Finding]:
    """What to say of the domain's own SPF where our mail does not hang on it. All of it is advice."""
    views = await asking.everywhere(domain, "TXT")
    if views.best.unknown:
        return []
    texts = spf.spf_texts(views.best.values)
    if not texts:
        return list((await _none(look, views)).findings)
    if len(texts) > 1:
        return [
            look.finding("spf.multiple", n=len(texts), found=" | ".join(texts), expected=_wanted(texts, look.record))
        ]
    found = [finding async for finding in faults_of(look, texts[0])]
    needless = _needless(texts[0], wanted)
    if needless:
        other = next(record.name for record in wanted if record.purpose is Purpose.RETURN_PATH)
        found.append(look.finding("spf.not_needed", found=texts[0], mechanism=needless, other=other))
    return found


def _needless(text: str, wanted: Sequence[Record]) -> str:
    """An include of ours at the root, though SPF is judged at the return path's subdomain."""
    ours = [f"include:{record.value}" for record in wanted if record.purpose is Purpose.RETURN_PATH]
    return next((term for term in text.lower().split() if term.lstrip("+") in ours), "")
