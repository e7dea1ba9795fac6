"""Domain Connect (spec 2.3): does the domain's DNS host offer to put our records in by itself, and the signed link that asks it to.

The host is found by a TXT record of the customer's, and answers over the network: nothing of what it says is trusted. Whether the
records are there afterwards is seen in DNS, as always.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ombud.dns import Ask
from ombud.errors import Misconfigured
from ombud.mail.records import Purpose, Record, relative

#: Gets a URL: the status, and the body read to a bound. Raises OSError when there is no answer, or none may be asked.
Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]

_DISCOVERY = "_domainconnect"
#: A host name, perhaps with a port, and perhaps a path: what the TXT record may hold.
_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)
_STRING = 200  # characters of a public key in one TXT record


@dataclass(frozen=True, slots=True)
class Template:
    """The template that says which records we ask for, published by us and taken in by each DNS host, and the key that signs our
    links. `key` is where the public half stands, below the template's `syncPubKeyDomain`."""

    provider_id: str
    service_id: str
    key: str = ""
    private: RSAPrivateKey | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A DNS host that knows our template: where its page is, and what it calls itself."""

    host: str
    sync_url: str
    width: int = 750
    height: int = 750


async def discover(ask: Ask, fetch: Fetch, zone: str, template: Template) -> Offer | None:
    """The host's offer; None when the zone's host has none, does not know our template, or says anything that it should not."""
    answer = await ask(f"{_DISCOVERY}.{zone}", "TXT")
    prefix = next((value.strip().rstrip("/") for value in answer.values if _PREFIX.fullmatch(value.strip())), "")
    if not prefix:
        return None
    settings = await _json(fetch, f"https://{prefix}/v2/{quote(zone)}/settings")
    api, sync = (str(settings.get(name) or "").rstrip("/") for name in ("urlAPI", "urlSyncUX"))
    if not (_is_safe(api) and _is_safe(sync)):
        return None
    path = f"{api}/v2/domainTemplates/providers/{quote(template.provider_id)}/services/{quote(template.service_id)}"
    try:
        status, _ = await fetch(path)
    except OSError:
        return None
    if status != 200:
        return None
    name = str(settings.get("providerDisplayName") or settings.get("providerName") or urlsplit(sync).hostname)
    return Offer(name[:100], sync, _size(settings.get("width")), _size(settings.get("height")))


async def _json(fetch: Fetch, url: str) -> Mapping[str, Any]:
    """The object at `url`, or none: a stale TXT record leads to 404, and the manual way is always there."""
    try:
        status, body = await fetch(url)
        value = json.loads(body) if status == 200 else None
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_safe(url: str) -> bool:
    """An address that a customer's browser can be sent to: https, a host, nobody's name or password, no query of its own."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.scheme == "https" and parts.hostname and not parts.username and not parts.query and not parts.fragment
    return bool(plain) and (port is None or port > 0) and url.isascii() and url.isprintable() and " " not in url


def _size(value: object) -> int:
    return value if isinstance(value, int) and 100 <= value <= 2000 else 750


# --- the link ----------------------------------------------------------------------------------------------------------


def apply_url(
    offer: Offer,
    template: Template,
    domain: str,
    zone: str,
    records: Sequence[Record],
    *,
    state: str,
    redirect: str = "",
) -> str:
    """The link that shows the customer the host's own page, on which they say yes. Signed over its whole query (RS256)."""
    values = variables(records)
    query: dict[str, str] = {"domain": zone}
    if domain != zone:
        query["host"] = relative(domain, zone)
    query |= values | {"groupId": ",".join(groups(records)), "state": state}
    if redirect:
        query["redirect_uri"] = redirect
    text = urlencode(query, quote_via=quote)
    if template.private:
        signature = template.private.sign(text.encode(), PKCS1v15(), SHA256())
        text += f"&sig={quote(base64.b64encode(signature), safe='')}&key={quote(template.key)}"
    path = f"{quote(template.provider_id)}/services/{quote(template.service_id)}/apply"
    return f"{offer.sync_url}/v2/domainTemplates/providers/{path}?{text}"


def variables(records: Sequence[Record]) -> dict[str, str]:
    """The template's variables, filled in: where the keys and the return path point, and the claim's token."""
    found: dict[str, str] = {}
    for record in records:
        if name := _variable(record):
            found[name] = record.value
    return found


def groups(records: Sequence[Record]) -> list[str]:
    """The parts of the template that these records are."""
    return list(dict.fromkeys(record.purpose.value for record in records if _variable(record)))


def covers(records: Sequence[Record]) -> bool:
    """Whether the template can hold all of them. A key that the customer publishes itself, and SPF at the root, it cannot."""
    return bool(records) and all(_variable(record) for record in records)


def _variable(record: Record) -> str:
    if record.purpose is Purpose.DKIM and record.kind == "CNAME":
        return re.sub(r"[^a-z0-9]", "", record.name.partition("._domainkey.")[0])
    return {Purpose.RETURN_PATH: "rp", Purpose.OWNER: "claim"}.get(record.purpose, "")


def template_json(template: Template, records: Sequence[Record], domain: str, *, name: str, key_domain: str) -> str:
    """The template to publish (github.com/Domain-Connect/Templates), for domains that need records like these."""
    rows = []
    for record in records:
        if variable := _variable(record):
            what = "pointsTo" if record.kind == "CNAME" else "data"
            row = {"groupId": record.purpose.value, "type": record.kind, "host": relative(record.name, domain)}
            rows.append({**row, what: f"%{variable}%", "ttl": 3600, "essential": "Always"})
    document = {
        "providerId": template.provider_id, "providerName": name, "serviceId": template.service_id, "serviceName": "E-mail",
        "version": 1, "syncBlock": False, "syncPubKeyDomain": key_domain, "syncRedirectDomain": key_domain, "records": rows,
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# --- the key -----------------------------------------------------------------------------------------------------------


def load_private(pem: bytes) -> RSAPrivateKey:
    """Raises Misconfigured."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise Misconfigured(reason=f"dns.connect_key: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise Misconfigured(reason="dns.connect_key: Domain Connect signs with RSA")
    return key


def public_key_texts(private: RSAPrivateKey) -> list[str]:
    """The TXT records by which hosts verify our links: `p=1,a=RS256,d=...`, one for each part of the key."""
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    whole = base64.b64encode(der).decode()
    parts = [whole[start : start + _STRING] for start in range(0, len(whole), _STRING)]
    return [f"p={n},a=RS256,d={part}" for n, part in enumerate(parts, 1)]
