"""Keeps what can be made from the code in `docs/` the same as the code: `python -m ombud.docs write` or `check`.

A page is written by hand; what lies in it between `<!-- made: NAME -->` and `<!-- end -->` is made by the function of that name
here. For those who work on Ombud: it needs a checkout, and knows every part (as `service.py` does).
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from pydantic import BaseModel

from ombud import metrics, settings, verify
from ombud.cli import app as cli
from ombud.domains.findings import catalogue
from ombud.domains.hosts import known_hosts
from ombud.errors import OmbudError, every_error
from ombud.installation import opened
from ombud.providers.smtp.route import SmtpRoute, Tls
from ombud.queue import EVENTS, TABLE, State, What
from ombud.routing import decide
from ombud.service import Service
from ombud.web import Web, create_app

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
_MADE = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: What is made, by name.
MAKERS: dict[str, Callable[[], str]] = {}


def maker(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    def add(make: Callable[[], str]) -> Callable[[], str]:
        MAKERS[name] = make
        return make

    return add


def pages() -> dict[Path, str]:
    """Every page as it should be, by its file."""
    made: dict[str, str] = {}

    def fill(found: re.Match[str]) -> str:
        name = found[2]
        if name not in made:
            made[name] = MAKERS[name]()
        return f"{found[1]}\n{made[name].strip()}\n\n{found[3]}"

    return {path: _MADE.sub(fill, path.read_text("utf-8")) for path in sorted(PAGES.glob("*.md"))}


def stale() -> list[Path]:
    """The pages that are not as they should be."""
    return [path for path, page in pages().items() if path.read_text("utf-8") != page]


# --- Markdown ------------------------------------------------------------------------------------------------------


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _code(value: object) -> str:
    return f"`{value}`" if value not in ("", None) else ""


def _doc(thing: object) -> str:
    return " ".join(inspect.cleandoc(getattr(thing, "__doc__", None) or "").split())


def members(thing: type[Any]) -> dict[str, str]:
    """The comment beside each name in a class's body, by name; "" where there is none."""
    found: dict[str, str] = {}
    name = comment = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + inspect.getsource(thing))).readline):
        if token.type == tokenize.NAME and not name:
            name = token.string
        elif token.type == tokenize.COMMENT:
            comment = token.string.lstrip("# ")
        elif token.type == tokenize.NEWLINE:
            found[name] = comment if name else ""
            name = comment = ""
    return found


# --- settings and errors -------------------------------------------------------------------------------------------


@maker("settings")
def _settings() -> str:
    sections = settings.Settings.model_fields
    return "\n\n".join(_settings_of(name, type(field.default)) for name, field in sections.items())


def _settings_of(section: str, model: type[BaseModel]) -> str:
    about = _doc(model).partition(": ")[2]
    rows = [
        (_code(name), _code(_default(field.default)), field.description or "")
        for name, field in model.model_fields.items()
    ]
    return f"### [{section}]\n\n{about[0].upper()}{about[1:]}\n\n" + table(("setting", "default", "what it is"), rows)


def _default(value: object) -> str:
    """The default as ombud.toml would have it; sizes also in larger units."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= settings.MIB and value % settings.MIB == 0:
        return f"{value} ({value // settings.MIB} MiB)"
    return "" if value is None else json.dumps(value) if isinstance(value, str | list) else str(value)


@maker("route-settings")
def _route_settings() -> str:
    said = members(SmtpRoute)
    fields = [field for field in SmtpRoute.__dataclass_fields__.values() if field.name != "password"]
    required = {"host"}
    rows = [
        (
            _code(field.name),
            "(required)" if field.name in required else _code(_default(field.default)),
            said[field.name],
        )
        for field in fields
    ]
    ways = [(_code(f'tls = "{tls}"'), said) for tls, said in zip(Tls, _comments(Tls), strict=True)]
    return (
        table(("setting", "default", "what it is"), rows)
        + "\n\n"
        + table(("", "how the connection is protected"), ways)
    )


def _comments(enum: type[Any]) -> list[str]:
    said = members(enum)
    return [said[member.name] for member in enum]


@maker("errors")
def _errors() -> str:
    parts = []
    for branch in OmbudError.__subclasses__():
        if branch.__module__ == "ombud.errors" and branch.__subclasses__():
            errors = [error for error in every_error() if issubclass(error, branch)]
            parts.append(f"### {branch.__name__}\n\n" + _error_table(errors))
    others = [
        error
        for error in every_error()
        if error is OmbudError or (error.__bases__ == (OmbudError,) and not error.__subclasses__())
    ]
    return "\n\n".join([*parts, "### Other\n\n" + _error_table(others)])


def _error_table(errors: Iterable[type[OmbudError]]) -> str:
    codes: dict[str, type[OmbudError]] = {}
    for error in errors:
        codes.setdefault(error.code, error)
    rows = [
        (_code(code), error.http, " ".join(map(str, error.smtp)), _pattern(_doc(error)), _pattern(error.sv))
        for code, error in codes.items()
    ]
    return table(("code", "HTTP", "SMTP", "English", "svenska"), rows)


def _pattern(text: str) -> str:
    """The text of an error with the names of its details in italics."""
    return text.format_map(_Names())


class _Names(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"*{key}*"


# --- which way a mail takes ----------------------------------------------------------------------------------------


@maker("ways")
def _ways() -> str:
    return _table_in(decide, 0)


@maker("ways-changed")
def _ways_changed() -> str:
    return _table_in(decide, 1)


def _table_in(function: Callable[..., object], place: int) -> str:
    """One of the tables in a docstring, as it stands there."""
    blocks = inspect.getdoc(function) or ""
    return [block for block in blocks.split("\n\n") if block.startswith("|")][place]


# --- domains -------------------------------------------------------------------------------------------------------


@maker("findings")
def _findings() -> str:
    parts = []
    for family, codes in _families().items():
        rows = [
            (_code(code), kind.weight.value, kind.turn.value, _pattern(kind.sv.verdict), _pattern(kind.en.verdict))
            for code in codes
            for kind in [catalogue()[code]]
        ]
        parts.append(f"### {family}\n\n" + table(("code", "weight", "turn", "svenska", "English"), rows))
    return "\n\n".join(parts)


def _families() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in catalogue():
        found.setdefault(code.partition(".")[0], []).append(code)
    return found


@maker("dns-hosts")
def _dns_hosts() -> str:
    rows = [
        (host.name, ", ".join(map(_code, host.suffixes)), host.minutes or "", host.sure, host.source, host.checked)
        for host in known_hosts()
    ]
    return table(("host", "name servers end with", "minutes", "sure", "source", "checked"), rows)


# --- the queue -----------------------------------------------------------------------------------------------------


@maker("states")
def _states() -> str:
    said = members(State)
    rows = [(f"`{state}`", "yes" if state.final else "", said[state.name]) for state in State]
    return table(("state", "final", "meaning"), rows)


@maker("transitions")
def _transitions() -> str:
    said = members(What)
    rows: dict[tuple[What, State], list[str]] = {}
    for (before, what), now in TABLE.items():
        rows.setdefault((what, now), []).append(f"`{before}`")
    order = list(What)
    return table(
        ("what happens", "", "in the state", "it becomes", "event"),
        [
            (what, said[what.name], ", ".join(before), f"`{now}`", _code(EVENTS.get(what, "")))
            for (what, now), before in sorted(rows.items(), key=lambda row: order.index(row[0][0]))
        ],
    )


@maker("events")
def _events() -> str:
    meanings, said = members(State), members(What)
    becomes: dict[What, dict[State, str]] = {}
    for (_, what), now in TABLE.items():
        becomes.setdefault(what, {})[now] = f"`{now}`"
    rows = [("`accepted`", "the message", "", "the message was taken in, and is safe")]
    for what, event in EVENTS.items():
        happened = said[what.name] if said[what.name][:1].isalpha() else meanings[next(iter(becomes[what])).name]
        rows.append((f"`{event}`", "a recipient", ", ".join(becomes[what].values()), happened))
    return table(("event", "of", "the state then", "what happened"), rows)


@maker("rules")
def _rules() -> str:
    return table(
        ("rule", "what it finds"), [(_code(code), verify.meaning_of(find)) for code, find in verify.RULES.items()]
    )


@maker("metrics")
def _metrics() -> str:
    rows = [
        (
            _code(metric.name if metric.gauge else f"{metric.name}_total"),
            "gauge" if metric.gauge else "counter", ", ".join(map(_code, metric.labels)), metric.help,
        )
        for metric in metrics.METRICS
    ]  # fmt: skip
    return table(("metric", "kind", "labels", "what it is"), rows)


# --- the code ------------------------------------------------------------------------------------------------------


def _sources() -> Iterator[tuple[str, str]]:
    """Every source file of the product, without the sandbox, by its path under ombud/."""
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(("sandbox/", "db/migrations/", "docs.py")):
            yield name, path.read_text("utf-8")


@maker("tables")
def _tables() -> str:
    rows = []
    for name, source in _sources():
        for found in re.finditer(r'^\w+ = Table\(\s*"(\w+)"', source, re.MULTILINE):
            rows.append((f"`{found[1]}`", f"`{name.partition('/')[0].removesuffix('.py')}`", f"`ombud/{name}`"))
    return table(("table", "owner", "where"), sorted(rows, key=lambda row: (row[1], row[0])))


_CITED = re.compile(r"\bRFC (\d{3,4}\b[^\n;:)]*)")
_SECTION = r"(?:[A-Z]\.)?\d{1,2}(?:\.\d+)*(?:-\d+)?"
_ITEM = re.compile(rf"(?:^|, (?:RFC )?)(\d{{3,4}})\b(?:[ ]({_SECTION})\b)?(?: [a-c]\b)?")
_TITLES = {
    1035: "Domain names", 1123: "Requirements for Internet hosts", 1870: "SMTP SIZE", 2034: "SMTP enhanced error codes",
    2045: "MIME: message bodies", 2046: "MIME: media types", 2047: "MIME: encoded words in headers",
    2231: "MIME parameter values", 2369: "List-* header fields", 2387: "multipart/related", 2554: "SMTP AUTH (before 4954)",
    2919: "List-Id", 2920: "SMTP pipelining", 3030: "SMTP chunking", 3207: "SMTP over TLS (STARTTLS)", 3339: "Date and time on the Internet",
    3463: "Enhanced status codes", 3848: "ESMTPSA and its kin in Received", 4180: "CSV files", 4616: "SASL PLAIN", 4648: "Base64", 4954: "SMTP AUTH",
    5321: "SMTP", 5322: "Internet message format", 5891: "IDNA: protocol", 5893: "IDNA: right-to-left scripts", 6152: "SMTP 8BITMIME",
    6376: "DKIM", 6409: "Message submission", 6531: "SMTPUTF8", 6532: "Internationalized headers", 6750: "Bearer tokens",
    7435: "Opportunistic security", 7504: "SMTP 521 and 556", 7617: "HTTP Basic authentication", 8058: "One-click unsubscribe",
    8259: "JSON", 8301: "DKIM algorithms and key sizes", 8314: "TLS for submission and access", 8463: "DKIM with Ed25519",
    8996: "TLS 1.0 and 1.1 deprecated", 9110: "HTTP semantics", 9457: "Problem details for HTTP APIs", 9477: "Complaint feedback loop address",
    1034: "Domain names: concepts", 2136: "DNS dynamic update", 2308: "DNS: negative answers", 4035: "DNSSEC: protocol",
    4592: "DNS wildcards", 6604: "DNS: codes in chains of aliases", 6840: "DNSSEC: clarifications", 7208: "SPF",
    7489: "DMARC (before 9989)", 7505: "Null MX", 8601: "Authentication-Results", 8945: "DNS: signed messages (TSIG)",
    9989: "DMARC", 9990: "DMARC aggregate reports",
    3056: "6to4", 3834: "Automatic responses", 4291: "IPv6 addresses", 5771: "IPv4 multicast addresses", 6052: "IPv4 addresses within IPv6", 6890: "Special-purpose addresses", 9602: "IPv6 prefix for SRv6", 9637: "IPv6 documentation prefix",
}  # fmt: skip


@maker("rfcs")
def _rfcs() -> str:
    where: dict[int, dict[str, set[str]]] = {}
    for name, source in _sources():
        for number, section in citations(source):
            where.setdefault(number, {}).setdefault(name, set()).add(section)
    rows = []
    for number, files in sorted(where.items()):
        if number not in _TITLES:
            raise KeyError(f"RFC {number} (cited in {', '.join(files)}) has no title in ombud/docs.py")
        places = [
            f"`{name}`{' ' if any(found) else ''}{', '.join(sorted(filter(None, found), key=_by_number))}"
            for name, found in files.items()
        ]
        rows.append((f"[{number}](https://www.rfc-editor.org/rfc/rfc{number})", _TITLES[number], "; ".join(places)))
    return table(("RFC", "about", "where, and which sections"), rows)


def citations(source: str) -> Iterator[tuple[int, str]]:
    """Every RFC that a text cites, with the section where it names one.

    >>> list(citations("# RFC 5321 4.5.3.1.4 with more: RFC 1870 3 (26), 6152 2 (17)"))
    [(5321, '4.5.3.1.4'), (1870, '3'), (6152, '2')]
    """
    if source == __doc__:
        return
    for cited in _CITED.finditer(
        source.replace("(26)", "").replace("(17)", "").replace("(10)", "").replace("(500)", "")
    ):
        for found in _ITEM.finditer(cited[1]):
            yield int(found[1]), found[2] or ""


def _by_number(section: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"[.-]", section)]


# --- commands ------------------------------------------------------------------------------------------------------


@maker("commands")
def _commands() -> str:
    top = click.Context(cli.app, info_name="ombud", terminal_width=100, color=False)
    parts = ["```text\n" + cli.app.get_help(top) + "\n```"]
    for noun in cli.app.list_commands(top):
        command = cli.app.get_command(top, noun)
        assert command
        parts += _command(command, noun, top, 2)
    return "\n\n".join(parts)


def _command(command: click.Command, name: str, above: click.Context, depth: int) -> Iterator[str]:
    ctx = click.Context(command, info_name=name, parent=above, terminal_width=100, color=False)
    yield f"{'#' * depth} {ctx.command_path}"
    if not isinstance(command, click.Group):
        yield "```text\n" + command.get_help(ctx) + "\n```"
        return
    yield inspect.cleandoc(command.help or "")
    for verb in command.list_commands(ctx):
        found = command.get_command(ctx, verb)
        assert found
        yield from _command(found, verb, ctx, depth + 1)


# --- the API -------------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """The API's document, as the service gives it to anyone who asks."""
    with TemporaryDirectory() as directory, opened(Path(directory), http={"port": 0}) as installation:
        made = Service(installation)
        web = Web(
            submissions=made.submissions, database=made.database, group=made.group, clock=made.clock, facts=made.facts,
            directory=made.directory, settings=made.settings, healthy=made.not_ready, metrics=lambda: metrics.text(made),
            seal=installation.seal,
        )  # fmt: skip
        read: dict[str, Any] = json.loads(asyncio.run(_get(create_app(web), "/v1/openapi.json")))
    return read


async def _get(app: Any, path: str) -> bytes:
    body = bytearray()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        body.extend(message.get("body", b""))

    await app({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}, receive, send)
    return bytes(body)


@maker("api")
def _api() -> str:
    api = document()
    schemas: dict[str, Any] = api["components"]["schemas"]
    parts = [api["info"]["description"]]
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            parts += _operation(f"{method.upper()} {path}", operation, schemas)
    parts.append("## Objects")
    for name, schema in sorted(schemas.items()):
        if "properties" in schema:
            parts += _object(name, schema, schemas)
    return "\n\n".join(parts)


def _operation(name: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {operation['summary']}"
    yield f"`{name}`"
    yield operation["description"]
    if parameters := {one["name"]: one for one in operation.get("parameters", ())}:
        rows = [
            (_code(name), one["in"], one.get("description") or one["schema"].get("description", ""))
            for name, one in parameters.items()
        ]
        yield table(("parameter", "in", "what it is"), rows)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if content:
        yield "Takes " + _type(content["schema"], schemas) + ", such as:"
    for example in content.get("examples", {}).values():
        yield "```json\n" + json.dumps(example["value"], ensure_ascii=False, indent=2) + "\n```"
    answers: Mapping[str, Any] = operation["responses"]
    good = {status: answer for status, answer in answers.items() if status < "300"}
    yield table(("status", "answer"), [(status, _answer(answer, schemas)) for status, answer in good.items()])
    yield f"Errors: {', '.join(status for status in answers if status not in good)}; their codes are in [errors.md](errors.md)."


def _answer(answer: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    return f"{answer['description']} ({_type(answer['content']['application/json']['schema'], schemas)})"


def _object(name: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    if said := schema.get("description"):
        yield " ".join(said.split())
    required = schema.get("required", ())
    rows = [
        (_code(field), _type(one, schemas) + (" (required)" if field in required else ""), one.get("description", ""))
        for field, one in schema["properties"].items()
    ]
    yield table(("field", "type", "what it is"), rows)


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any] = {}) -> str:  # never changed
    """What a value is, in words, with links to the objects."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        values = schemas.get(name, {}).get("enum")
        return _one_of(values) if values else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        kinds = [_type(one, schemas) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return _one_of(schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    return str(schema.get("format") or schema.get("type") or "any value")


def _one_of(values: Iterable[str]) -> str:
    return ", ".join(map(_code, values))


# --- the program ---------------------------------------------------------------------------------------------------


@click.command()
@click.argument("what", type=click.Choice(["write", "check"]))
def main(what: str) -> None:
    """Write what is made from the code into docs/, or check that it stands there."""
    changed = stale()
    for path in changed:
        if what == "write":
            path.write_text(pages()[path], "utf-8")
        click.echo(
            f"{path.relative_to(ROOT)}: {'written' if what == 'write' else 'not as the code is; run `python -m ombud.docs write`'}"
        )
    sys.exit(1 if changed and what == "check" else 0)


if __name__ == "__main__":
    main()
