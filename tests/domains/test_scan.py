"""What a look at a domain tells before its owner is asked."""

from __future__ import annotations

import pytest

from ombud.dns import Zone
from ombud.domains.scan import REASONS, Fits, scan, services
from ombud.mail.dkim import dns_record, new_key

KEY = dns_record(new_key("kund.se", "selector1", "ed25519-sha256"))
LOOPIA = {"NS": ["ns1.loopia.se", "ns2.loopia.se"]}
M365 = {"MX": ["10 kund-se.mail.protection.outlook.com", "0 first.kund-se.mail.protection.outlook.com"]}
OUTLOOK = {"spf.protection.outlook.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]}}


@pytest.mark.parametrize(
    ("records", "fits", "reason", "service"),
    [
        ({"kund.se": {**LOOPIA, **M365}, "selector1._domainkey.kund.se": {"CNAME": ["x.onmicrosoft.com"]},
          "x.onmicrosoft.com": {"TXT": [KEY]}}, Fits.OWN, "own_signs", "Microsoft 365"),
        ({"kund.se": {**LOOPIA, **M365}}, Fits.OWN, "own_can_sign", "Microsoft 365"),
        ({"kund.se": {**LOOPIA, "MX": ["1 aspmx.l.google.com"]}}, Fits.OWN, "own_can_sign", "Google Workspace"),
        ({"kund.se": {**LOOPIA, "MX": ["10 kund-se.mx1.staysecuregroup.com"]}}, Fits.ASK, "gateway", "VIPRE (StaySecure, Comendo)"),
        ({"kund.se": {**LOOPIA, "MX": ["10 mx.loopia.se"]}}, Fits.SUBCONTRACTOR, "webhost", "Loopia"),
        ({"kund.se": {**LOOPIA, "MX": ["10 mail.kund.se"]}}, Fits.OWN, "own_server", "own"),
        ({"kund.se": {**LOOPIA, "MX": ["10 mx.nagon.se"]}}, Fits.ASK, "other", "mx.nagon.se"),
        ({"kund.se": {**LOOPIA, "MX": ["0 ."]}}, Fits.SUBCONTRACTOR, "no_mail", ""),
        ({"kund.se": LOOPIA}, Fits.SUBCONTRACTOR, "no_mail", ""),
        ({}, Fits.ASK, "no_domain", ""),
    ],
)  # fmt: skip
async def test_the_mail_service_decides_what_is_recommended(
    records: dict[str, dict[str, list[str]]], fits: Fits, reason: str, service: str
) -> None:
    found = await scan(Zone(records).ask, "kund.se")
    assert (found.fits, found.reason, found.mail_service, found.uncertain) == (fits, reason, service, False)
    assert all(found.why(language) for language in ("sv", "en"))


async def test_everything_that_dns_tells_is_told() -> None:
    records = {
        "kund.se": {**LOOPIA, **M365, "TXT": ["v=spf1 include:spf.protection.outlook.com a:gone.se ~all", "other"]},
        "_dmarc.kund.se": {"TXT": ["v=DMARC1; p=quarantine"]},
        "selector2._domainkey.kund.se": {"TXT": [KEY]},
        "om1._domainkey.kund.se": {"TXT": [KEY]},
        **OUTLOOK,
    }
    found = await scan(Zone(records).ask, "kund.se")
    assert (found.dns_host, found.name_servers) == ("Loopia", ("ns1.loopia.se", "ns2.loopia.se"))
    assert found.mx[0] == "first.kund-se.mail.protection.outlook.com"
    assert (found.spf_result, found.spf_lookups, found.spf_problems) == ("softfail", 2, ())
    assert found.senders == ("Microsoft 365",)
    assert (found.dmarc, found.dmarc_at) == ("quarantine", "kund.se")
    assert found.signers == ("selector2 (Microsoft 365)", "om1")


async def test_a_subdomain_is_kept_where_its_domain_is() -> None:
    found = await scan(Zone({"kund.se": LOOPIA, "news.kund.se": {"MX": ["10 mail.news.kund.se"]}}).ask, "news.kund.se")
    assert (found.dns_host, found.fits) == ("Loopia", Fits.OWN)


@pytest.mark.parametrize("silent", ["kund.se", "kund.se MX", "kund.se NS", "_dmarc.kund.se", "kund.se TXT"])
async def test_a_server_that_does_not_answer_makes_it_uncertain_and_no_more(silent: str) -> None:
    found = await scan(Zone({"kund.se": {**LOOPIA, **M365}}, faults={silent: "timeout"}).ask, "kund.se")
    assert found.uncertain
    if silent in ("kund.se", "kund.se MX", "kund.se NS"):
        assert (found.fits, found.reason) == (Fits.UNKNOWN, "no_answer")


def test_every_service_has_its_traces_and_every_reason_two_languages() -> None:
    assert len({one.slug for one in services()}) == len(services())
    assert all(one.mx and one.spf for one in services())
    assert all(len(texts) == 2 for texts in REASONS.values())
