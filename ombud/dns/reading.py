"""What a name server's reply means. Pure: a message in, an `Answer` out."""

from __future__ import annotations

from collections.abc import Iterable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT

from ombud.dns.answer import Answer, Status, canonical, presented

#: More than any zone in order holds at one name; a reply over either is not looked into.
MAX_VALUES = 400
MAX_CHARACTERS = 32 * 1024
_MAX_ALIASES = 8
_UDP_PAYLOAD = 1232  # passes every network unfragmented (DNS flag day 2020)
_WHY = {dns.rcode.SERVFAIL: "servfail", dns.rcode.REFUSED: "refused", dns.rcode.NOTAUTH: "lame"}


def whole_name(text: str) -> dns.name.Name | None:
    """The name that `text` is, label by label; None when no name can look like that. Nothing is an escape, dots but part labels."""
    labels = text.removesuffix(".").split(".") if text not in ("", ".") else []
    try:
        return dns.name.Name([*(label.encode("ascii") for label in labels), b""])
    except (dns.name.BadLabelType, dns.name.NameTooLong, dns.name.LabelTooLong, dns.name.EmptyLabel, UnicodeError):
        return None


def query_for(name: dns.name.Name, kind: str, *, recursive: bool, unchecked: bool = False) -> dns.message.QueryMessage:
    """The question as it is sent. Raises DNSException for a type that does not exist."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=_UDP_PAYLOAD)
    query.flags = dns.flags.Flag(0)
    if recursive:
        query.flags |= dns.flags.RD | dns.flags.AD  # RFC 6840 5.7: AD asks whether the answer is authenticated
    if unchecked:
        query.flags |= dns.flags.CD
    return query


def read(
    response: dns.message.Message, name: dns.name.Name, kind: str, server: str, *, recursive: bool, referral: bool = False
) -> Answer:  # fmt: skip
    """The reply as an answer. `referral`: what the server hands out for the zone below it counts as its answer."""
    made = _Reading(response, name, kind, server, recursive)
    if response.flags & dns.flags.TC:  # cut even over TCP
        return made.unknown("too_big")
    if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        chain = made.followed()  # a circle is what many servers fail on, with its beginning in the reply
        return chain if chain.why == "loop" else made.unknown(_WHY.get(response.rcode(), "servfail"))
    if referral and (handed := response.get_rrset(response.authority, name, dns.rdataclass.IN, dns.rdatatype.NS)):
        return made.found(handed)
    if not recursive and not response.flags & dns.flags.AA:
        return made.unknown("lame")
    return made.followed()


class _Reading:
    """One reply being read: the chain of aliases as far as it has been followed."""

    def __init__(
        self, response: dns.message.Message, name: dns.name.Name, kind: str, server: str, recursive: bool
    ) -> None:
        self._response, self._kind, self._server = response, kind, server
        self._asked, self._rdtype = name, dns.rdatatype.from_text(kind)
        self._authenticated = bool(response.flags & dns.flags.AD) if recursive else None
        self._aliases: list[str] = []
        self._ttls: list[int] = []

    def followed(self) -> Answer:
        name = self._asked
        while not (rrset := self._rrset(name, self._rdtype)):
            alias = self._rrset(name, dns.rdatatype.CNAME)
            if not alias:
                return self._ended(name)
            name = alias[0].target
            self._ttls.append(alias.ttl)
            seen = (_text(self._asked), *self._aliases)
            self._aliases.append(_text(name))
            if self._aliases[-1] in seen or len(self._aliases) > _MAX_ALIASES:
                return self.unknown("loop")
        return self.found(rrset)

    def found(self, rrset: dns.rrset.RRset) -> Answer:
        if len(rrset) > MAX_VALUES:
            return self.unknown("too_big")
        self._ttls.append(rrset.ttl)
        values = presented(self._kind, (_value(data) for data in rrset))
        if sum(len(value) for value in values) > MAX_CHARACTERS:
            return self.unknown("too_big")
        return self._answer(Status.FOUND, "", values)

    def unknown(self, why: str) -> Answer:
        return self._answer(Status.UNKNOWN, why)

    def _ended(self, name: dns.name.Name) -> Answer:
        """The chain leads no further in this reply: to nothing, or out of what the server knows."""
        soa = next((rrset for rrset in self._response.authority if rrset.rdtype == dns.rdatatype.SOA), None)
        if soa is not None and isinstance(soa[0], SOA):
            self._ttls.append(min(soa.ttl, soa[0].minimum))  # RFC 2308 5
        else:
            self._ttls.clear()
        if self._response.rcode() == dns.rcode.NXDOMAIN:  # RFC 6604 3: it is said of the chain's last name
            return self._answer(Status.ABSENT, "nxdomain")
        if self._aliases and (soa is None or not name.is_subdomain(soa.name)):
            return self.unknown("alias")
        return self._answer(Status.ABSENT, "nodata")

    def _rrset(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        return self._response.get_rrset(self._response.answer, name, dns.rdataclass.IN, rdtype)

    def _answer(self, status: Status, why: str, values: Iterable[str] = ()) -> Answer:
        return Answer(
            _text(self._asked), self._kind, status, tuple(values), why, min(self._ttls, default=None), self._server,
            tuple(self._aliases), self._authenticated,
        )  # fmt: skip


def _value(data: dns.rdata.Rdata) -> str:
    if not isinstance(data, TXT):
        return data.to_text()
    # RFC 7208 3.3, RFC 6376 3.6.2.2: the strings of one record are one text. A byte that is none stays visible, and NUL
    # is one of those: databases and terminals take no such character.
    text = b"".join(data.strings).decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00")


def _text(name: dns.name.Name) -> str:
    return canonical(name.to_text())
