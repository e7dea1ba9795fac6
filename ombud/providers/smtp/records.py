"""What an SMTP route asks of a sender domain's DNS, by its settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ombud.mail.records import Purpose, Record
from ombud.providers.smtp.route import SmtpRoute

_INCLUDE = re.compile(r"(?:^| )\+?include:([^ ]+)", re.IGNORECASE)


def records_of(route: SmtpRoute, domain: str) -> Sequence[Record]:
    """The route's records for one domain: the return path's subdomain before the root's SPF, which it makes needless."""
    return tuple(_records(route, domain))


def _records(route: SmtpRoute, domain: str) -> Iterator[Record]:
    if route.return_path:
        # SPF is judged at the envelope's domain (RFC 7208 2.4), so that the domain's own SPF record need not be touched.
        yield Record(Purpose.RETURN_PATH, "CNAME", f"{route.return_path}.{domain}", route.return_path_target)
    elif route.spf_include:
        value = f"v=spf1 include:{route.spf_include} ~all"
        yield Record(Purpose.SPF, "TXT", domain, value, includes=(route.spf_include,))
    for selector in route.dkim_selectors:
        yield Record(Purpose.DKIM, "TXT", f"{selector}._domainkey.{domain}", "")
    for line in route.dns_records:
        yield _given(line.replace("{domain}", domain))


def _given(line: str) -> Record:
    name, kind, value = line.split(None, 2)
    if "._domainkey." in name:
        return Record(Purpose.DKIM, kind, name.lower(), value if kind == "TXT" else value.lower().removesuffix("."))
    include = _INCLUDE.search(value)
    if kind == "TXT" and value.lower().startswith("v=spf1") and include:
        return Record(Purpose.SPF, kind, name.lower(), value, includes=(include[1].lower(),))
    return Record(Purpose.OTHER, kind, name.lower(), value if kind == "TXT" else value.lower().removesuffix("."))
