"""Webhooks: where other systems are told, and what they can trust. Signed as Standard Webhooks has it.

Their receivers find `webhook-id` (stable over all tries), `webhook-timestamp` (of this try) and `webhook-signature`:
`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Column, LargeBinary, Table, Text, insert, select, update

from ombud.db import Identity, Moment, Transaction, metadata
from ombud.errors import BadField, NotFound
from ombud.notices.outbox import Notice
from ombud.seal import Seal

webhook_table = Table(
    "webhook",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("created_at", Moment, nullable=False),
    Column("removed_at", Moment),
)

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_LEAST_SECRET = 16
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Webhook:
    slug: str
    url: str
    secret: str = field(repr=False)


def new_webhook_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def put_webhook(tx: Transaction, seal: Seal, slug: str, url: str, secret: str, now: datetime) -> bool:
    """Add a webhook, or bring the one of that slug up to date; "" keeps the secret that it has, or makes one. Says whether
    anything changed. Raises BadField."""
    check_url(url)
    if secret:
        secret_key(secret)
    known = tx.execute(select(webhook_table).where(webhook_table.c.slug == slug)).one_or_none()
    if known is None:
        sealed = seal.seal((secret or new_webhook_secret()).encode(), _about(slug))
        tx.execute(insert(webhook_table).values(slug=slug, url=url, secret=sealed, created_at=now))
        return True
    before = seal.open(known.secret, _about(slug)).decode()
    if known.removed_at is None and known.url == url and secret in ("", before):
        return False
    sealed = seal.seal((secret or before).encode(), _about(slug))
    values = {"url": url, "secret": sealed, "removed_at": None}
    tx.execute(update(webhook_table).where(webhook_table.c.slug == slug).values(**values))
    return True


def remove_webhook(tx: Transaction, slug: str, now: datetime) -> None:
    """Tell it nothing more; what waits for it goes on waiting, to be dropped or told to a new one of that slug. Raises NotFound."""
    here = (webhook_table.c.slug == slug) & webhook_table.c.removed_at.is_(None)
    if tx.execute(update(webhook_table).where(here).values(removed_at=now)).rowcount != 1:
        raise NotFound(kind="webhook", name=slug)


def load_webhooks(tx: Transaction, seal: Seal) -> dict[str, Webhook]:
    """All of them, with their secrets open: for whoever tells."""
    rows = tx.execute(select(webhook_table).where(webhook_table.c.removed_at.is_(None)).order_by(webhook_table.c.slug))
    return {row.slug: Webhook(row.slug, row.url, seal.open(row.secret, _about(row.slug)).decode()) for row in rows}


def check_url(url: str) -> None:
    """Raises BadField when it cannot be posted to. Where its name leads is looked at when it is posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadField(field="url", reason="it is not an address") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise BadField(field="url", reason="it must begin with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise BadField(field="url", reason="it must not hold a user name or a password; the signature says who we are")
    if port == 0 or len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadField(field="url", reason="it holds what an address cannot hold")


def body_of(notice: Notice) -> bytes:
    """What is posted. `sequence` only grows, so that the receiver can tell which of two it has is newer."""
    told: dict[str, Any] = {
        "id": notice.ref,
        "sequence": notice.id,
        "at": notice.created_at.isoformat().replace("+00:00", "Z"),
        **notice.payload,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(webhook: Webhook, ref: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers of one try, at the wall's time `at`: a receiver refuses a signature that is older than some minutes."""
    timestamp = int(at.timestamp())
    return {
        "Content-Type": "application/json",
        "webhook-id": ref,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(webhook.secret, ref, timestamp, body),
    }


def sign(secret: str, ref: str, timestamp: int, body: bytes) -> str:
    digest = hmac.digest(secret_key(secret), f"{ref}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def verified(secret: str, headers: Mapping[str, str], body: bytes, at: datetime, tolerance: float = 300) -> bool:
    """Whether headers and body are signed with the secret and fresh. For hooks that come in, and for receivers as a model."""
    found = {name.lower(): value for name, value in headers.items()}
    ref, timestamp = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not ref or not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    if abs(at.timestamp() - int(timestamp)) > tolerance:
        return False
    expected = sign(secret, ref, int(timestamp), body).encode()
    given = (
        found.get("webhook-signature", "").encode("utf-8", "replace").split()[:10]
    )  # several while a secret is changed
    return any([hmac.compare_digest(one, expected) for one in given])  # noqa: C419 - every one: time must not tell which


def secret_key(secret: str) -> bytes:
    """The key in a secret: `whsec_` and base64. Raises BadField."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_SECRET:
        raise BadField(field="secret", reason=f"it must be {_PREFIX} and the base64 of at least {_LEAST_SECRET} bytes")
    return key


def _about(slug: str) -> str:
    return f"webhooks/{slug}"
