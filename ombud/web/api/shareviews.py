"""What whoever has a link is shown: the supplier's page of a domain, and proofs."""

from __future__ import annotations

from pydantic import Field

from ombud.web.api.views import Moment, View


class InBoth(View):
    """One text in both languages."""

    sv: str
    en: str


class FieldToType(View):
    """One record as the DNS host's panel wants it typed."""

    type: str
    name: str
    value: str
    notes: list[str] = Field(description="What this panel does with what is typed, in the language that was asked for.")
    purpose: str


class PlainRecord(View):
    """One record for programs."""

    type: str
    fqdn: str = Field(description="The whole name, without a final dot.", examples=["om1._domainkey.eken.example"])
    name: str = Field(description="The name below `zone`; `@`: the zone itself.", examples=["om1._domainkey"])
    zone: str
    value: str = Field(description="A TXT's text; a target without a final dot.")
    ttl: int = Field(description="Seconds.")


class Forms(View):
    """The same records in every form that somebody may want."""

    fields: list[FieldToType]
    bind: str = Field(description="Lines for a zone file.")
    json_: list[PlainRecord] = Field(alias="json")
    terraform: str = Field(description="A `.tf.json` file, for the provider of this DNS host where it is known.")


class DnsHost(View):
    """Who keeps the domain's DNS."""

    slug: str
    name: str
    panel: str = Field(description="Where its customers log in.")


class RecordSeen(View):
    """One record, and what stands there now."""

    type: str
    name: str
    expected: str
    found: str | None
    state: str = Field(examples=["missing"])
    findings: list[str] = Field(description="Codes of what is wrong with it.")
    weight: str = Field(description="`required`, `recommended` or `info`.")
    server: str = Field(description="Who was asked.")
    at: Moment | None = Field(description="When.")
    ttl: int | None = Field(description="For how many seconds others may keep this answer.")


class FindingSeen(View):
    """One thing that is wrong, and what to do."""

    code: str = Field(examples=["spf.doubled_host"])
    weight: str = Field(description="`required`, `recommended` or `info`.")
    turn: str = Field(description="Who can mend it: `customer`, `it_supplier`, `microsoft_admin`, `vendor` or `wait`.")
    name: str
    sv: str
    en: str
    do: InBoth
    detail: InBoth
    link: str


class Entry(View):
    """One line of the page's log."""

    at: Moment
    what: str = Field(description="`made`, `revoked`, `done` or `cannot`.")
    by: str
    reason: str


class SharePage(View):
    """What must stand in the domain's DNS, in several forms, and what stands there."""

    domain: str
    customer: str
    valid_until: Moment = Field(description="When the link ends.")
    state: str = Field(description="`unchecked`, `pending`, `ok`, `at_risk` or `lost`.")
    turn: str = Field(description="Whose turn it is: `customer`, `it_supplier`, `microsoft_admin`, `vendor` or `wait`.")
    checked_at: Moment | None
    next_check: Moment | None
    stop_at: Moment | None = Field(description="With `at_risk`: when mail from the domain stops.")
    zone: str = Field(description="The zone that the records are put into.")
    dns_host: DnsHost | None = Field(description="null: it is not known.")
    steps: str = Field(description="How to get to the records in its panel.")
    forms: Forms
    records: list[RecordSeen]
    findings: list[FindingSeen]
    log: list[Entry]


class Noted(View):
    """It is written down."""

    noted: bool = Field(description="Always true.")


class DoneNoted(Noted):
    """It is written down, and the domain is looked at."""

    looking: bool = Field(description="Whether at once; else it has just been, and is again by itself.")


class SignatureSeen(View):
    """A DKIM signature as the receiver judged it."""

    domain: str
    selector: str
    result: str = Field(examples=["pass"])


class Aligned(View):
    """Whether what passed speaks for the very domain of From."""

    spf: bool
    dkim: bool


class ProofPage(View):
    """A probe message, and what its receiver said of it."""

    id: str
    domain: str
    state: str = Field(description="`asked`, `sent`, `refused`, `lost` or `read`.")
    ok: bool | None = Field(description="null: it has not been read.")
    at: Moment = Field(description="When it was read, or sent while it has not been.")
    from_: str = Field(alias="from", description="As it was sent.")
    from_seen: str = Field(description="As it came.")
    message_id: str
    receiver: str = Field(description="Who wrote the Authentication-Results.")
    spf: str
    spf_domain: str
    dkim: str
    signatures: list[SignatureSeen]
    dmarc: str
    aligned: Aligned
    remarks: list[str] = Field(description="What is missing even so: stable codes.", examples=[["aligned_by_one"]])
