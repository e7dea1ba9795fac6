"""Records in the forms that those who keep DNS want: fields to type, lines of a zone file, JSON, Terraform."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ombud.domains.hosts import TYPING_NOTES, Host, typed
from ombud.domains.zone import zone_text
from ombud.mail.records import Record, relative

TTL = 3600


def fields(records: Sequence[Record], zone: str, host: Host, language: str) -> list[dict[str, Any]]:
    """What to type in this host's panel, record by record."""
    swedish = language == "sv"
    rows = []
    for record in records:
        one = typed(record, zone, host)
        notes = [TYPING_NOTES[code][0 if swedish else 1] for code in one.notes]
        rows.append(
            {"type": one.kind, "name": one.name, "value": one.value, "notes": notes, "purpose": record.purpose.value}
        )
    return rows


def bind_lines(records: Sequence[Record]) -> str:
    """Lines for a zone file, with whole names (RFC 1035 5.1)."""
    return "".join(f"{record.name}. {TTL} IN {record.kind} {_in_zone_file(record)}\n" for record in records)


def plain_rows(records: Sequence[Record], zone: str) -> list[dict[str, Any]]:
    """For programs: names whole and relative to the zone, TXT as text, targets without a final dot."""
    return [
        {
            "type": record.kind, "fqdn": record.name, "name": relative(record.name, zone), "zone": zone,
            "value": record.value, "ttl": TTL,
        }
        for record in records
    ]  # fmt: skip


def terraform(records: Sequence[Record], zone: str, host: Host | None) -> str:
    """Terraform in its JSON syntax, for the provider of the domain's host where it is known, else for any server that takes dynamic
    updates. What it needs to know of the account stands in variables."""
    slug = host.slug if host else ""
    kind, made = {
        "cloudflare": ("cloudflare_dns_record", _cloudflare),
        "route53": ("aws_route53_record", _route53),
    }.get(slug, ("", _dynamic))
    resources: dict[str, dict[str, Any]] = {}
    for record in records:
        resource = made(record, zone, _literal(record.value))
        of_kind = kind or ("dns_cname_record" if record.kind == "CNAME" else f"dns_{record.kind.lower()}_record_set")
        resources.setdefault(of_kind, {})[_label(record)] = resource
    variables = {} if made is _dynamic else {"zone_id": {"type": "string"}}
    document = {"variable": variables, "resource": resources} if variables else {"resource": resources}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _literal(text: str) -> str:
    """Terraform fills in what stands in `${...}` and `%{...}`: an SPF macro is none, nor anything else that somebody wrote in DNS."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _in_zone_file(record: Record) -> str:
    return zone_text(record.value) if record.kind == "TXT" else f"{record.value}."


def _label(record: Record) -> str:
    """A Terraform name: letters, digits and underscores."""
    return "ombud_" + re.sub(r"[^a-z0-9]+", "_", f"{record.kind}_{record.name}".lower()).strip("_")


def _cloudflare(record: Record, zone: str, value: str) -> dict[str, Any]:
    content = zone_text(value) if record.kind == "TXT" else value
    return {
        "zone_id": "${var.zone_id}",
        "name": record.name,
        "type": record.kind,
        "content": content,
        "ttl": TTL,
        "proxied": False,
    }


def _route53(record: Record, zone: str, value: str) -> dict[str, Any]:
    # Route 53 puts the outer quotation marks itself; between the strings of a long text they are ours to put.
    text = zone_text(value)[1:-1] if record.kind == "TXT" else value
    return {"zone_id": "${var.zone_id}", "name": record.name, "type": record.kind, "ttl": TTL, "records": [text]}


def _dynamic(record: Record, zone: str, value: str) -> dict[str, Any]:
    made: dict[str, Any] = {"zone": f"{zone}.", "ttl": TTL}
    if record.name != zone:
        made["name"] = relative(record.name, zone)
    if record.kind == "CNAME":
        return {**made, "cname": f"{value}."}
    if record.kind == "MX":
        preference, _, exchange = value.partition(" ")
        return {**made, "mx": [{"preference": int(preference), "exchange": f"{exchange}."}]}
    return {**made, "txt": [value]}
