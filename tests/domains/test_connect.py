"""Domain Connect against a host that stands in for a real one: TLS, the settings, the template, and the link that it verifies."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ombud.dns import Zone
from ombud.domains.domainconnect import (
    Template,
    apply_url,
    covers,
    discover,
    public_key_texts,
    template_json,
    variables,
)
from ombud.domains.fetching import LARGEST, fetching
from ombud.mail.records import Purpose, Record
from ombud.notices.posting import may_connect

KEY = generate_private_key(65537, 2048)
OURS = Template("leverantor.example", "epost", "_dcpubkeyv1", KEY)
RECORDS = [
    Record(Purpose.DKIM, "CNAME", "om1._domainkey.kund.example", "om1.k7.dkim.vendor.example"),
    Record(Purpose.DKIM, "CNAME", "om2._domainkey.kund.example", "om2.k7.dkim.vendor.example"),
    Record(Purpose.RETURN_PATH, "CNAME", "studs.kund.example", "studs.vendor.example"),
]


@dataclass
class Host:
    """A DNS host's two pages, and what it was asked. What it says can be changed."""

    port: int = 0
    ca_file: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    templates: set[str] = field(default_factory=lambda: {"leverantor.example/epost"})
    asked: list[str] = field(default_factory=list)
    body: bytes | None = None
    status: int = 200

    @property
    def prefix(self) -> str:
        return f"dc.host.example:{self.port}/client"

    async def show_settings(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.status in (301, 302):
            raise web.HTTPFound("https://127.0.0.1/elsewhere")
        body = json.dumps(self.settings).encode() if self.body is None else self.body
        return web.Response(body=body, status=self.status)

    async def show_template(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        known = f"{request.match_info['provider']}/{request.match_info['service']}" in self.templates
        return web.Response(status=200 if known else 404)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made, ca = Host(), trustme.CA()
    made.ca_file = str(tmp_path / "ca.pem")
    ca.cert_pem.write_to_path(made.ca_file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("dc.host.example").configure_cert(tls)
    app = web.Application()
    app.router.add_get("/client/v2/{domain}/settings", made.show_settings)
    app.router.add_get("/api/v2/domainTemplates/providers/{provider}/services/{service}", made.show_template)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # aiohttp tells the port nowhere else
    base = f"https://dc.host.example:{made.port}"
    made.settings = {
        "providerId": "host.example", "providerName": "Värden", "providerDisplayName": "Värden DNS", "urlAPI": f"{base}/api",
        "urlSyncUX": "https://panel.host.example/dc", "width": 750, "height": 900,
    }  # fmt: skip
    yield made
    await runner.cleanup()


def fetch_of(host: Host, allowed: Callable[[str], bool] = lambda address: True) -> Any:
    async def addresses(name: str) -> list[str]:
        return ["127.0.0.1"] if name == "dc.host.example" else []

    return fetching(addresses, allowed, host.ca_file)


async def offered(host: Host, txt: str | None = None, **more: Any) -> Any:
    records = {} if txt == "" else {"_domainconnect.kund.example": {"TXT": [txt or host.prefix]}}
    return await discover(
        Zone(records).ask, more.get("fetch") or fetch_of(host), "kund.example", more.get("template", OURS)
    )


async def test_a_host_that_knows_our_template_makes_an_offer(host: Host) -> None:
    offer = await offered(host)
    assert (offer.host, offer.sync_url, offer.height) == ("Värden DNS", "https://panel.host.example/dc", 900)
    assert host.asked == [
        "/client/v2/kund.example/settings",
        "/api/v2/domainTemplates/providers/leverantor.example/services/epost",
    ]


async def test_the_link_is_signed_over_its_whole_query_and_the_host_can_verify_it(host: Host) -> None:
    offer = await offered(host)
    url = apply_url(
        offer, OURS, "kund.example", "kund.example", RECORDS, state="abc123", redirect="https://v.example/klart"
    )
    parts = urlsplit(url)
    assert parts.path == "/dc/v2/domainTemplates/providers/leverantor.example/services/epost/apply"
    query = parse_qs(parts.query)
    assert query["domain"] == ["kund.example"] and query["om1"] == ["om1.k7.dkim.vendor.example"]
    assert (
        query["rp"] == ["studs.vendor.example"] and query["groupId"] == ["dkim,rp"] and query["key"] == ["_dcpubkeyv1"]
    )
    signed, _, rest = parts.query.partition("&sig=")
    signature = base64.b64decode(unquote(rest.partition("&key=")[0]))
    texts = [dict(one.split("=", 1) for one in text.split(",", 2)) for text in public_key_texts(KEY)]
    assert [one["p"] for one in texts] == [str(n + 1) for n in range(len(texts))] and len(texts) > 1
    public = load_der_public_key(base64.b64decode("".join(one["d"] for one in texts)))
    assert isinstance(public, RSAPublicKey)
    public.verify(signature, signed.encode(), PKCS1v15(), SHA256())
    assert all(len(text) <= 255 for text in public_key_texts(KEY))


def test_a_subdomain_is_named_by_its_host() -> None:
    from ombud.domains.domainconnect import Offer

    url = apply_url(Offer("x", "https://x.example"), OURS, "hyra.kund.example", "kund.example", RECORDS[:1], state="s")
    query = parse_qs(urlsplit(url).query)
    assert (query["domain"], query["host"]) == (["kund.example"], ["hyra"])


@pytest.mark.parametrize(
    "txt", ["", "http://dc.host.example", "dc.host.example/../x y", "javascript:alert(1)", "a@b.example", "-"]
)
async def test_no_offer_without_a_sound_record(host: Host, txt: str) -> None:
    assert await offered(host, txt) is None
    assert host.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"urlSyncUX": "http://panel.host.example"}, {"urlSyncUX": "https://anna:x@panel.example"}, {"urlAPI": "file:///etc/passwd"},
        {"urlSyncUX": "https://panel.example/?x=1"}, {"urlSyncUX": None}, {"urlSyncUX": "https://panel.example/\nx"}, {"urlAPI": ["x"]},
    ],
)  # fmt: skip
async def test_a_host_that_says_what_it_should_not_makes_no_offer(host: Host, wrong: dict[str, Any]) -> None:
    host.settings |= wrong
    assert await offered(host) is None


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"[" * 50_000, b"x" * (LARGEST + 1), b"\xff\xfe"])
async def test_an_answer_that_is_no_settings_makes_no_offer(host: Host, body: bytes) -> None:
    host.body = body
    assert await offered(host) is None


@pytest.mark.parametrize("status", [404, 500, 302])
async def test_a_stale_record_falls_back_to_the_manual_way(host: Host, status: int) -> None:
    host.status = status
    assert await offered(host) is None


async def test_an_unknown_template_makes_no_offer(host: Host) -> None:
    assert await offered(host, template=Template("leverantor.example", "annan")) is None


async def test_nobody_is_led_to_a_machine_of_our_own_network(host: Host) -> None:
    assert await offered(host, fetch=fetch_of(host, may_connect)) is None
    assert host.asked == []


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(host: Host) -> None:
    host.ca_file = ""
    assert await offered(host) is None


def test_the_template_holds_what_it_can_and_says_so() -> None:
    assert covers(RECORDS)
    text = Record(Purpose.DKIM, "TXT", "om1._domainkey.kund.example", "v=DKIM1; p=x")
    assert not covers([*RECORDS, text]) and not covers([])
    assert variables(RECORDS) == {
        "om1": "om1.k7.dkim.vendor.example", "om2": "om2.k7.dkim.vendor.example", "rp": "studs.vendor.example",
    }  # fmt: skip
    made = json.loads(
        template_json(OURS, RECORDS, "kund.example", name="Leverantören", key_domain="leverantor.example")
    )
    assert {row["host"]: row["pointsTo"] for row in made["records"]} == {
        "om1._domainkey": "%om1%", "om2._domainkey": "%om2%", "studs": "%rp%",
    }  # fmt: skip
