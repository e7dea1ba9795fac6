"""Whom a file names: contacts who may choose, the vendor that writes letters, and webhooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ombud.accounts import load_directory
from ombud.accounts.people import Role, load_people, people_of, put_person
from ombud.accounts.vendor import load_vendor
from ombud.apply import apply, read
from ombud.apply.step import Done
from ombud.campaigns.mailing import automatic_campaigns
from ombud.db import Database
from ombud.domains import load_ownership
from ombud.errors import Misconfigured
from ombud.notices.webhooks import load_webhooks
from ombud.routing import load_facts
from ombud.seal import Seal
from tests.conftest import NOON

SEAL = Seal(b"m" * 32)
CUSTOMER = """
[[customers]]
slug = "eken"
name = "Bostads AB Eken"
contact_name = "{name}"
contact_email = "{email}"
"""
VENDOR = """
[vendor]
name = "Molntjänst AB"
customer = "molntjanst"
sender = "Molntjänst <epost@molntjanst.example>"
reply_to = "hjalp@molntjanst.example"
signature = "Anna Berg"
phone = "031-390 06 00"
route = "egen"

[[routes]]
slug = "egen"
provider = "smtp"
settings = { host = "127.0.0.1" }
"""
WEBHOOK = '[[webhooks]]\nslug = "centre"\nurl = "https://centre.example/hook"\nsecret = "${SECRET:}"\n'

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _run(database: Database, directory: Path, text: str, **environment: str) -> list[tuple[str, str, str]]:
    (directory / "wishes.toml").write_text(text)
    steps = apply(database, SEAL, read(directory / "wishes.toml", environment), NOON)
    return [(step.done.value, step.kind, step.name) for step in steps if step.done is not Done.SAME]


def test_a_contact_becomes_a_person_who_may_choose_and_is_followed_when_it_changes(
    database: Database, tmp_path: Path
) -> None:
    first = CUSTOMER.format(name="Åsa Lindqvist", email="asa@eken.example")
    assert ("added", "person", "eken / asa@eken.example") in _run(database, tmp_path, first)
    assert _run(database, tmp_path, first) == []
    with database.write() as tx:
        (person,) = load_people(tx)
        assert (person.name, person.role, person.may_choose) == ("Åsa Lindqvist", Role.CONTACT, True)
        put_person(tx, person.customer_id, "IT", "it@leverantor.example", NOON, role=Role.IT_SUPPLIER)
    assert ("added", "person", "eken / eva@eken.example") in _run(
        database, tmp_path, CUSTOMER.format(name="Eva", email="eva@eken.example")
    )
    with database.read() as tx:
        found = people_of(tx, load_directory(tx).customer("eken").id)
        assert [one.email for one in found] == ["eva@eken.example", "it@leverantor.example"]  # Åsa has gone, IT stays


def test_the_vendor_becomes_a_customer_of_its_own_with_a_sender_a_product_and_a_way(
    database: Database, tmp_path: Path
) -> None:
    done = _run(database, tmp_path, VENDOR)
    assert ("added", "vendor", "molntjanst") in done and ("added", "product", "ombud") in done
    assert _run(database, tmp_path, VENDOR) == []
    with database.read() as tx:
        vendor = load_vendor(tx)
        assert vendor and (vendor.name, vendor.customer.slug, vendor.product.slug) == (
            "Molntjänst AB",
            "molntjanst",
            "ombud",
        )
        assert (str(vendor.sender.address), vendor.signature, vendor.phone) == (
            "epost@molntjanst.example",
            "Anna Berg",
            "031-390 06 00",
        )
        owner = load_ownership(tx).owner("molntjanst.example")
        assert owner and owner.customer_id == vendor.customer.id
        assert load_facts(tx).assigned[None, vendor.product.id]
    assert _run(database, tmp_path, VENDOR.replace("Anna Berg", "Bo Ek")) == [("changed", "vendor", "molntjanst")]


def test_a_webhook_is_kept_with_its_secret_or_gets_one(database: Database, tmp_path: Path) -> None:
    assert _run(database, tmp_path, WEBHOOK) == [("added", "webhook", "centre")]
    assert _run(database, tmp_path, WEBHOOK) == []
    with database.read() as tx:
        made = load_webhooks(tx, SEAL)["centre"].secret
    assert made.startswith("whsec_")
    own = "whsec_" + "A" * 44
    assert _run(database, tmp_path, WEBHOOK, SECRET=own) == [("changed", "webhook", "centre")]
    with database.read() as tx:
        assert load_webhooks(tx, SEAL)["centre"].secret == own


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (VENDOR.replace('customer = "molntjanst"\n', ""), "need both customer"),
        (VENDOR.replace("epost@", "epost at "), "sender cannot be used"),
        (VENDOR.replace('route = "egen"', 'route = "annan"'), "there is no route annan"),
        (VENDOR.replace("signature", "signatur"), "did you mean signature"),
        (WEBHOOK.replace("https", "ftp"), "https://"),
        (WEBHOOK.replace("${SECRET:}", "hemlig"), "whsec_"),
        (WEBHOOK + WEBHOOK, "there already"),
    ],
)
def test_what_cannot_be_right_is_refused_and_nothing_is_changed(
    database: Database, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        _run(database, tmp_path, text)
    with database.read() as tx:
        assert load_vendor(tx) is None and load_webhooks(tx, SEAL) == {} and load_directory(tx).customers == {}


def test_letters_go_out_by_themselves_when_the_campaign_says_so(database: Database, tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024"
    for file in example.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    toml = (example / "ombud.toml").read_text().replace("rsa-sha256", "ed25519-sha256")  # made in no time
    _run(database, tmp_path, toml)
    automatic = toml.replace('after_stop = "refuse"', 'letters = "automatic"\nafter_stop = "refuse"')
    assert _run(database, tmp_path, automatic) == [("changed", "letters", "molntjanst-2024")]
    assert _run(database, tmp_path, automatic) == _run(database, tmp_path, toml) == []
    with database.read() as tx:
        assert automatic_campaigns(tx) == ["molntjanst-2024"]
    with pytest.raises(Misconfigured, match="automatic or by_hand"):
        _run(database, tmp_path, automatic.replace('"automatic"', '"sometimes"'))
