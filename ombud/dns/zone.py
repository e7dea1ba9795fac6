"""The same answers as a `Resolver`'s, from a dict: for what might be published, and for tests of what reads answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ombud.dns.answer import Answer, Authority, NameServer, Status, canonical, presented
from ombud.dns.reading import whole_name

#: Whoever answers questions: `Resolver.ask`, `Zone.ask`, or something put before them.
Ask = Callable[[str, str], Awaitable[Answer]]
Records = Mapping[str, Mapping[str, Sequence[str]]]

_MAX_ALIASES = 8


class Zone:
    """Answers from `records`: `{"kund.se": {"TXT": ["v=spf1 -all"]}, "*.kund.se": {"CNAME": ["kund.se"]}}`.

    `faults` make a name fail with the `why` of an UNKNOWN answer: `{"kund.se": "servfail"}`, or one type of it,
    `{"kund.se TXT": "timeout"}`. `views` are servers, by address, that say something else when asked by `ask_at`.
    """

    def __init__(
        self, records: Records, *, faults: Mapping[str, str] | None = None, views: Mapping[str, Zone] | None = None,
        ttl: int = 3600, authenticated: bool | None = None,
    ) -> None:  # fmt: skip
        self._records = {
            canonical(name): {kind: presented(kind, values) for kind, values in kinds.items()}
            for name, kinds in records.items()
        }
        self._faults = dict(faults or {})
        self._views = dict(views or {})
        self._ttl = ttl
        self._authenticated = authenticated
        self._names = {name.partition(".")[2] for name in self._records}
        for name in list(self._names):  # a name exists when something stands below it (RFC 4592 2.2.2)
            while name:
                self._names.add(name)
                name = name.partition(".")[2]

    async def ask(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
        return self._answer(name, kind, "", self._authenticated)

    async def ask_at(self, server: str, name: str, kind: str) -> Answer:
        return self._views.get(server, self)._answer(name, kind, server, None)

    async def name_servers(self, domain: str) -> Authority:
        name = canonical(domain)
        while name:
            answer = self._answer(name, "NS", "", None)
            if answer.unknown:
                return Authority(name, (), Status.UNKNOWN, answer.why)
            if answer.found and not answer.aliases:
                return Authority(name, tuple(self._name_server(server) for server in answer.values), Status.FOUND)
            name = name.partition(".")[2]
        return Authority(".", (), Status.ABSENT, "nxdomain")

    async def delegation(self, zone: str) -> Answer:
        return self._answer(zone, "NS", "", None)

    def _name_server(self, name: str) -> NameServer:
        answers = [self._answer(name, kind, "", None) for kind in ("A", "AAAA")]
        addresses = tuple(value for answer in answers for value in answer.values)
        return NameServer(name, addresses, unknown=not addresses and any(answer.unknown for answer in answers))

    def _answer(self, name: str, kind: str, server: str, authenticated: bool | None) -> Answer:
        asked = current = canonical(name)
        aliases: list[str] = []

        def answer(status: Status, why: str = "", values: tuple[str, ...] = ()) -> Answer:
            return Answer(asked, kind, status, values, why, self._ttl, server, tuple(aliases), authenticated)

        while True:
            if fault := self._faults.get(f"{current} {kind}") or self._faults.get(current):
                return answer(Status.UNKNOWN, fault)
            if whole_name(current) is None:
                return answer(Status.ABSENT, "malformed")
            kinds = self._at(current)
            if kinds is None:
                return answer(Status.ABSENT, "nxdomain")
            if values := kinds.get(kind):
                return answer(Status.FOUND, values=values)
            if not (alias := kinds.get("CNAME")):
                return answer(Status.ABSENT, "nodata")
            seen = (asked, *aliases)
            current = alias[0]
            aliases.append(current)
            if current in seen or len(aliases) > _MAX_ALIASES:
                return answer(Status.UNKNOWN, "loop")

    def _at(self, name: str) -> Mapping[str, tuple[str, ...]] | None:
        """What stands at a name, perhaps by a wildcard (RFC 4592 3.3.1); None when the name does not exist."""
        if name in self._records:
            return self._records[name]
        if name in self._names:
            return {}
        while name:
            name = name.partition(".")[2]
            if name in self._records or name in self._names:  # the closest encloser: only its own wildcard counts
                return self._records.get(f"*.{name}")
        return self._records.get("*")


def overlaid(ask: Ask, records: Records) -> Ask:
    """Answers as they would be if `records` were published: what stands there under a name and type replaces what is found."""
    known = Zone(records)
    wanted = {(canonical(name), kind) for name, kinds in records.items() for kind in kinds}

    async def answer(name: str, kind: str) -> Answer:
        return await (known.ask(name, kind) if (canonical(name), kind) in wanted else ask(name, kind))

    return answer
