"""What a recipient's server thinks of a mail: SPF by pyspf, DKIM by dkimpy, DMARC by an evaluation of its own.

DMARC is evaluated here because no maintained library does it: RFC 7489 3.1 (alignment) and 6.6.3 (finding the record), with
organisational domains from the Public Suffix List. `pct`, reports and `sp` below the first level are left out.
Everything blocks; call it from a thread.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import getaddresses

import dkim
import dns.exception
import dns.resolver
import idna
from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from publicsuffixlist import PublicSuffixList

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # pyspf's source has old escapes, which newer Pythons complain of when they compile it
    import spf

_FROM = re.compile(rb"^From[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_BAD_NAME = (
    dns.exception.SyntaxError,
    dns.exception.FormError,
)  # what dnspython says of a name that cannot be asked for
_UNSAFE = re.compile(r"[^A-Za-z0-9.@=+_-]")


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM-Signature of a message, and what became of it (RFC 8601 2.7.1)."""

    domain: str
    selector: str
    algorithm: str
    result: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was found out about one message. `aligned` says whether SPF or DKIM vouches for the From domain itself."""

    spf: str
    spf_domain: str
    signatures: tuple[Signature, ...]
    dmarc: str
    policy: str
    from_domain: str
    aligned: bool

    @property
    def uncertain(self) -> bool:
        """Whether nobody vouches for it now, and a name server that did not answer may be the reason."""
        results = (self.spf, self.dmarc, *(signature.result for signature in self.signatures))
        return not self.aligned and "temperror" in results

    def results(self, host: str) -> str:
        """The value of the Authentication-Results field that `host` writes (RFC 8601 2.2)."""
        dkim_results = [
            f"dkim={s.result} header.d={_safe(s.domain)} header.s={_safe(s.selector)} header.a={_safe(s.algorithm)}"
            for s in self.signatures
        ]
        policy = f" (p={_safe(self.policy)})" if self.policy else ""
        return ";\r\n\t".join(
            (
                host,
                f"spf={self.spf} smtp.mailfrom={_safe(self.spf_domain)}",
                *(dkim_results or ["dkim=none"]),
                f"dmarc={self.dmarc}{policy} header.from={_safe(self.from_domain)}",
            )
        )


class Judge:
    """Judges mail by what a resolver says. One judge serves any number of threads."""

    def __init__(self, resolver: dns.resolver.Resolver) -> None:
        self._resolver = resolver
        self._suffixes = PublicSuffixList()

    def forget(self) -> None:
        """Drop every remembered DNS answer."""
        if self._resolver.cache is not None:
            self._resolver.cache.flush()

    def judge(self, client: str, helo: str, mail_from: str, content: bytes) -> Verdict:
        """Judge a message from the client at this IP address. Never raises: what cannot be judged gets a result that says so."""
        spf_result, spf_domain = self._spf(client, helo, mail_from)
        signatures = self._dkim(content)
        from_domain = from_domain_of(content)
        if not from_domain:
            return Verdict(spf_result, spf_domain, signatures, "permerror", "", "", aligned=False)
        try:
            policy, strict_spf, strict_dkim = self._policy(from_domain)
        except dns.exception.DNSException:
            policy, strict_spf, strict_dkim = "temperror", False, False
        aligned = (spf_result == "pass" and self._same(spf_domain, from_domain, strict_spf)) or any(
            signature.result == "pass" and self._same(signature.domain, from_domain, strict_dkim)
            for signature in signatures
        )
        if policy == "temperror":
            return Verdict(spf_result, spf_domain, signatures, policy, "", from_domain, aligned)
        dmarc = "none" if not policy else "pass" if aligned else "fail"
        return Verdict(spf_result, spf_domain, signatures, dmarc, policy, from_domain, aligned)

    def _spf(self, client: str, helo: str, mail_from: str) -> tuple[str, str]:
        query = _SpfQuery(self._resolver, client, mail_from, helo or "unknown")
        try:
            result, _, _ = query.check()
        except Exception:  # a border to a library that lets out all sorts on bytes that a sender chose
            result = "permerror"
        return str(result), str(query.o).lower()

    def _dkim(self, content: bytes) -> tuple[Signature, ...]:
        try:
            count = sum(name.lower() == b"dkim-signature" for name, _ in dkim.DKIM(content).headers)
        except Exception:  # a border, as in _spf: what dkimpy cannot read as a message has no signature
            return ()
        return tuple(self._verify(content, index) for index in range(min(count, 8)))

    def _verify(self, content: bytes, index: int) -> Signature:
        missing = False

        def key(name: bytes, timeout: float = 0) -> bytes | None:
            nonlocal missing
            texts = self._texts(name.decode("ascii", "replace"))
            missing = not texts
            return texts[0] if texts else None

        verifier = dkim.DKIM(content, minkey=1024)
        try:
            good = verifier.verify(idx=index, dnsfunc=key)
            result = "pass" if good else "permerror" if missing else "fail"
        except _BAD_NAME:
            result = "permerror"
        except dns.exception.DNSException:
            result = "temperror"
        except dkim.NaClNotFoundError:
            result = "neutral"  # Ed25519, and this world has no PyNaCl to check it with (RFC 8601 2.7.1: "could not be processed")
        except dkim.ValidationError as error:
            result = "fail" if "body hash" in str(error) else "permerror"
        except Exception:  # a border, as in _spf
            result = "permerror"
        fields = getattr(verifier, "signature_fields", {})
        domain, selector, algorithm = (fields.get(tag, b"").decode("ascii", "replace") for tag in (b"d", b"s", b"a"))
        return Signature(domain.lower(), selector, algorithm, result)

    def _policy(self, from_domain: str) -> tuple[str, bool, bool]:
        """The policy that holds for the domain ("" when none does), and whether SPF and DKIM must align strictly."""
        tags = self._dmarc_record(from_domain)
        policy = tags.get("p", "")
        organisation = self._organisation(from_domain)
        if not tags and organisation != from_domain:
            tags = self._dmarc_record(organisation)
            policy = tags.get("sp", tags.get("p", ""))
        return policy, tags.get("aspf") == "s", tags.get("adkim") == "s"

    def _dmarc_record(self, domain: str) -> dict[str, str]:
        texts = [text.decode("utf-8", "replace") for text in self._texts(f"_dmarc.{domain}")]
        records = [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
        if len(records) != 1:  # RFC 7489 6.6.3: none, or more than one, and DMARC is not applied
            return {}
        pairs = (part.partition("=") for part in records[0].split(";"))
        return {name.strip().lower(): value.strip().lower() for name, _, value in pairs if value}

    def _texts(self, name: str) -> list[bytes]:
        """The TXT records at a name; empty when there are none. Raises DNSException when nobody can say."""
        return [b"".join(data.strings) for data in _lookup(self._resolver, name, "TXT") if isinstance(data, TXT)]

    def _organisation(self, domain: str) -> str:
        return self._suffixes.privatesuffix(domain) or domain

    def _same(self, one: str, other: str, strict: bool) -> bool:
        if strict:
            return one == other
        return self._organisation(one) == self._organisation(other)


class _SpfQuery(spf.query):  # type: ignore[misc]  # the library has no types
    """pyspf's own evaluation, asking the sandbox's name server instead of the system's."""

    def __init__(self, resolver: dns.resolver.Resolver, client: str, mail_from: str, helo: str) -> None:
        super().__init__(i=client, s=mail_from, h=helo)
        self._resolver = resolver

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> Sequence[object]:
        if qtype == "SPF":  # RFC 7208 3.1: the type is no longer used
            return []
        try:
            answers = [_spf_value(data) for data in _lookup(self._resolver, str(name), qtype)]
        except _BAD_NAME as error:
            raise spf.PermError(str(error)) from error
        except dns.exception.DNSException as error:
            raise spf.TempError(str(error)) from error
        if not answers and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:  # RFC 7208 4.6.4
                raise spf.PermError("too many void lookups")
        return answers


def from_domain_of(content: bytes) -> str:
    """The domain of the one From address, as a lower-case A-label; "" when there is not exactly one (RFC 7489 6.6.1)."""
    head = content.partition(b"\r\n\r\n")[0]
    fields = _FROM.findall(head)
    if len(fields) != 1:
        return ""
    addresses = [address for _, address in getaddresses([re.sub(r"\r?\n", "", fields[0].decode("utf-8", "replace"))])]
    if len(addresses) != 1 or "@" not in addresses[0]:
        return ""
    try:
        return idna.encode(addresses[0].rpartition("@")[2], uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _lookup(resolver: dns.resolver.Resolver, name: str, kind: str) -> list[Rdata]:
    try:
        return list(resolver.resolve(name, kind, search=False))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []


def _spf_value(data: Rdata) -> object:
    """A record in the form that pyspf wants."""
    if isinstance(data, MX):
        return data.preference, data.exchange.to_text(omit_final_dot=True)
    if isinstance(data, TXT):
        return data.strings
    return data.to_text().rstrip(".")


def _safe(text: str) -> str:
    """A value that cannot end a field or begin another: the sender chose it."""
    return _UNSAFE.sub("?", text) or "?"
