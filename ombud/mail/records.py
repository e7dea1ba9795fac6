"""The DNS records that mail from a domain needs: what a way out asks for, before anyone has looked whether it is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Purpose(StrEnum):
    """What a record is for."""

    OWNER = "owner"  # shows whose the domain is
    DKIM = "dkim"  # the key that receivers verify signatures with
    RETURN_PATH = "rp"  # the envelope's own subdomain: SPF is judged there, and bounces come back there
    SPF = "spf"  # lets a server send in the name of the domain itself
    DMARC = "dmarc"  # what receivers are to do with mail that passes neither
    OTHER = "record"  # whatever else a provider asks for


class Weight(StrEnum):
    REQUIRED = "required"  # without it mail from the domain fails, or will
    RECOMMENDED = "recommended"  # it works without, and better with
    INFO = "info"  # good to know


@dataclass(frozen=True, slots=True)
class Record:
    """One record that must stand in a domain's DNS. Names are lower-case, without a final dot; a TXT's value is its text.

    Of SPF `value` is the record that a domain with none would publish; `includes` are what any other must come to hold.
    """

    purpose: Purpose
    kind: str  # CNAME | TXT | MX
    name: str
    value: str
    weight: Weight = Weight.REQUIRED
    #: The TXT record that is just as good at the same name; of a CNAME for DKIM also what must be found behind it. "": any valid key.
    text: str = ""
    includes: tuple[str, ...] = ()
    #: A place kept for the next key: nothing need be behind it yet.
    spare: bool = False
    #: The route or part that asks for it.
    asked_by: str = ""

    @property
    def place(self) -> tuple[Purpose, str]:
        """Two records with the same place are one to publish."""
        return self.purpose, self.name

    def beside(self, other: Record) -> Record:
        """This record, and what the other asks for at the same place: only SPF can be asked for by several at once."""
        includes = tuple(dict.fromkeys((*self.includes, *other.includes)))
        if self.purpose is not Purpose.SPF or not includes:
            return self
        terms = " ".join(f"include:{include}" for include in includes)
        asked_by = ", ".join(dict.fromkeys(filter(None, (self.asked_by, other.asked_by))))
        return replace(self, value=f"v=spf1 {terms} ~all", includes=includes, asked_by=asked_by)


def relative(name: str, zone: str) -> str:
    """The name as it is typed below its zone: `om1._domainkey`, and `@` for the zone itself.

    >>> relative("om1._domainkey.kund.se", "kund.se"), relative("kund.se", "kund.se")
    ('om1._domainkey', '@')
    """
    return "@" if name == zone else name.removesuffix(f".{zone}")
