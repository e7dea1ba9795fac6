"""Who keeps a zone, and how records are typed there; and what an operator teaches."""

from __future__ import annotations

import pytest

from ombud.db import Database
from ombud.domains import prove_domain
from ombud.domains.hostbook import correct_host, load_hosts, note_unknown, teach_host, unknown_hosts
from ombud.domains.hosts import UNKNOWN, Standing, host_of, known_hosts, make_host, standing_of, supplier_of, typed
from ombud.domains.letter import letter
from ombud.errors import BadField, NotFound
from ombud.mail.records import Purpose, Record
from tests.conftest import NOON, Cast

LONG = "v=DKIM1; k=rsa; p=" + "A" * 390
KEY = Record(Purpose.DKIM, "TXT", "om1._domainkey.kund.se", LONG)
ALIAS = Record(Purpose.DKIM, "CNAME", "om1._domainkey.kund.se", "om1.k7.dkim.vendor.se")
ROOT = Record(Purpose.SPF, "TXT", "kund.se", "v=spf1 ~all")


@pytest.mark.parametrize(
    ("servers", "slug"),
    [
        (["ns1.loopia.se", "ns2.loopia.se"], "loopia"), (["ns01.one.com", "ns02.one.com"], "one"), (["ns1.simply.com"], "simply"),
        (["ns1.binero.se"], "binero"), (["ns1.namesystem.se"], "glesys"), (["ns1.oderland.com"], "oderland"),
        (["ada.ns.cloudflare.com"], "cloudflare"), (["ns1045.ui-dns.org"], "ionos"), (["ns05.domaincontrol.com"], "godaddy"),
        (["ns1-03.azure-dns.com", "ns2-03.azure-dns.net"], "azure"), (["ns-2048.awsdns-64.net", "ns-1.awsdns-7.co.uk"], "route53"),
        (["ns1.bdm.microsoftonline.com"], "microsoft365"), (["ns1.ägg.example", "ns2.loopia.se", "ns1.loopia.se"], "loopia"),
    ],
)  # fmt: skip
def test_the_host_is_told_by_its_name_servers(servers: list[str], slug: str) -> None:
    found = host_of(servers)
    assert found and found.slug == slug


@pytest.mark.parametrize("servers", [[], ["ns1.notloopia.se"], ["loopia.se.kund.example"], ["ns.awsdns-x.net"]])
def test_a_name_that_only_looks_like_a_hosts_is_not_it(servers: list[str]) -> None:
    assert host_of(servers) is None


def test_every_host_has_a_source_and_a_date_and_says_how_sure_it_is() -> None:
    assert len(known_hosts()) >= 12
    for host in known_hosts():
        assert host.source and host.checked and host.sure in ("high", "medium", "low")
        assert host.sure == "low" or (host.steps_sv and host.steps_en) or host.slug == "google"


def test_parked_and_expired_domains_are_told_by_their_name_servers() -> None:
    assert standing_of(["ns1.sedoparking.com", "ns2.sedoparking.com"]) is Standing.PARKED
    assert standing_of(["ns1.expired.loopia.se"]) is Standing.EXPIRED
    assert standing_of(["ns1.sedoparking.com", "ns1.loopia.se"]) is Standing.IN_USE
    assert standing_of([]) is Standing.IN_USE


def test_who_else_signs_is_told_by_the_target() -> None:
    assert supplier_of("s1.domainkey.u1.wl.sendgrid.net") == "SendGrid"
    assert supplier_of("notsendgrid.net") == ""


def test_a_record_is_shown_as_the_hosts_panel_wants_it_typed() -> None:
    hosts = {host.slug: host for host in known_hosts()}
    assert typed(ALIAS, "kund.se", hosts["loopia"]).name == "om1._domainkey"
    assert typed(ROOT, "kund.se", hosts["loopia"]).name == "@"
    assert typed(ROOT, "kund.se", hosts["loopia"]).value == '"v=spf1 ~all"'
    assert (
        typed(ROOT, "kund.se", hosts["one"]).name == "" and "apex_empty" in typed(ROOT, "kund.se", hosts["one"]).notes
    )
    assert "proxy_off" in typed(ALIAS, "kund.se", hosts["cloudflare"]).notes
    split = typed(KEY, "kund.se", hosts["route53"])
    assert split.value == f'"{LONG[:255]}" "{LONG[255:]}"' and "split" in split.notes
    assert "too_long" in typed(KEY, "kund.se", hosts["simply"]).notes
    assert typed(ALIAS, "kund.se", hosts["hetzner"]).value.endswith(".")
    whole = make_host({"slug": "x", "name": "X", "suffixes": ["x.se"], "name_style": "whole", "apex": "whole"})
    assert [typed(one, "kund.se", whole).name for one in (ALIAS, ROOT)] == ["om1._domainkey.kund.se", "kund.se"]


def test_a_subdomains_record_is_typed_in_the_zone_that_it_is_in() -> None:
    record = Record(Purpose.DKIM, "CNAME", "om1._domainkey.hyra.kund.se", "t.vendor.se")
    assert typed(record, "kund.se", UNKNOWN).name == "om1._domainkey.hyra"


def test_the_letter_says_what_to_type_where_and_how_long_it_takes() -> None:
    hosts = {host.slug: host for host in known_hosts()}
    swedish = letter("kund.se", [ALIAS], "kund.se", hosts["loopia"], "sv")
    assert "Loopia" in swedish and "Namn:  om1._domainkey\n" in swedish and "inom 45 minuter" in swedish
    english = letter("kund.se", [ALIAS], "kund.se", UNKNOWN, "en")
    assert "do not know who keeps" in english and "within an hour" in english
    assert "inga fler poster" in letter("kund.se", [], "kund.se", UNKNOWN, "sv")


def test_an_operator_teaches_a_host_and_corrects_one(database: Database, cast: Cast) -> None:
    with database.write() as tx:
        prove_domain(tx, "kund.se", cast.eken, "operator", "seen", NOON)
        note_unknown(tx, "kund.se", ["ns1.lilladns.se", "ns2.lilladns.se"], NOON)
        note_unknown(tx, "annan.se", ["ns1.lilladns.se"], NOON)
        assert [(one.servers, one.seen) for one in unknown_hosts(tx)] == [("lilladns.se", 2)]
        made = teach_host(
            tx, {"slug": "lilla", "name": "Lilla DNS", "suffixes": ["lilladns.se"], "apex": ""}, "anna", NOON
        )
        assert (made.apex, made.source, made.sure) == ("", "taught by anna", "medium")
        assert unknown_hosts(tx) == []
        # What is taught of a host that the file knows is put over what the file says.
        teach_host(tx, {"slug": "loopia", "minutes": 5}, "anna", NOON)
    with database.read() as tx:
        book = load_hosts(tx)
    found = book.host_of("kund.se", ["ns1.lilladns.se"])
    assert found and found.name == "Lilla DNS"
    loopia = book.host_of("kund.se", ["ns1.loopia.se"])
    assert loopia and loopia.minutes == 5 and loopia.quotes
    with database.write() as tx:
        correct_host(tx, "kund.se", "loopia", "anna", NOON)
        corrected = load_hosts(tx).host_of("kund.se", ["ns1.lilladns.se"])
        assert corrected and corrected.slug == "loopia"
        correct_host(tx, "kund.se", "", "anna", NOON)
        assert load_hosts(tx).corrections == {}
    with pytest.raises(NotFound), database.write() as tx:
        correct_host(tx, "kund.se", "nosuch", "anna", NOON)


@pytest.mark.parametrize(
    "values", [{"slug": "x", "name": "X"}, {"suffixes": ["se"]}, {"suffixes": ["x.se"], "apex": "!"}, {"färg": "blå"}]
)
def test_a_host_is_not_taught_wrong(values: dict[str, object]) -> None:
    with pytest.raises(BadField):
        make_host({"slug": "x", "name": "X", **values})
