"""What a file says of money is checked where it stands, and is then as it says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ombud.accounts import load_directory
from ombud.apply import Done, Step, apply, read
from ombud.billing.parties import load_seller, payer_of, put_payer
from ombud.billing.planbook import load_plans
from ombud.billing.price import price
from ombud.billing.subscriptions import load_subscriptions
from ombud.db import Database
from ombud.errors import Misconfigured
from ombud.seal import Seal

NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024" / "ombud.toml"
PLAN = """
[[price_plans]]
slug = "plan"
name = { sv = "Plan", en = "Plan" }
fixed = { sv = "Avgift {period}", en = "Fee {period}" }
emails = { sv = "Utöver", en = "Over" }
adjustment = { sv = "Justering {period}", en = "Adjustment {period}" }
"""
VERSION = """
[[price_plans.versions]]
valid_from = 2024-01-01
fixed_fee = 500
included = 10000
price = "0.012"
"""
SELLER = """
[vendor]
name = "Molntjänst AB"
[vendor.invoice]
org_number = "559990-0643"
street = "Molngatan 1"
postal_code = "123 40"
city = "Molnby"
bankgiro = "991-2346"
"""


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(sqlite_template, tmp_path / "ombud.db")
    database = Database.open(f"sqlite:///{tmp_path / 'ombud.db'}")
    yield database
    database.close()


def run(database: Database, tmp_path: Path, toml: str, now: datetime = NOON) -> list[Step]:
    (tmp_path / "ombud.toml").write_text(toml, "utf-8")
    return apply(database, Seal(bytes(32)), read(tmp_path / "ombud.toml", {}), now)


def test_the_example_prices_its_campaign_and_starts_those_who_are_live(sqlite: Database) -> None:
    apply(sqlite, Seal(bytes(32)), read(EXAMPLE, {}), NOON)
    with sqlite.read() as tx:
        plan = load_plans(tx).plan("molntjanst-2024", NOON.date())
        slugs = {one.id: one.slug for one in load_directory(tx).customers.values()}
        live = {slugs[id]: subscriptions for id, subscriptions in load_subscriptions(tx).items()}
        seller = load_seller(tx)
        reference = payer_of(tx, next(id for id, slug in slugs.items() if slug == "havsbris")).reference
    assert str(price(plan, 40_000).net) == "860.00"
    assert set(live) == {"lindgarden", "angsgarden", "kvarnholmen", "havsbris"}
    assert {(one.plan, one.from_date) for found in live.values() for one in found} == {
        ("molntjanst-2024", date(2024, 5, 7))
    }
    assert (seller.vat_number, seller.number_prefix, reference) == ("SE559990064301", "M", "Fiona MacKay")


def test_a_plan_is_added_once_and_its_version_in_force_is_never_changed(sqlite: Database, tmp_path: Path) -> None:
    assert [(one.done, one.name) for one in run(sqlite, tmp_path, PLAN + VERSION)] == [(Done.ADDED, "plan 2024-01-01")]
    assert [one.done for one in run(sqlite, tmp_path, PLAN + VERSION)] == [Done.SAME]
    with pytest.raises(Misconfigured, match=r"\[\[price_plans\]\] plan: .*valid from 2024-01-01 is in force already"):
        run(sqlite, tmp_path, PLAN + VERSION.replace("500", "501"))
    later = VERSION.replace("2024-01-01", "2024-07-01").replace("500", "550")
    assert [(one.done, one.name) for one in run(sqlite, tmp_path, PLAN + VERSION + later)] == [
        (Done.SAME, "plan 2024-01-01"),
        (Done.ADDED, "plan 2024-07-01"),
    ]


def test_a_version_may_have_tiers_and_words_of_its_own(sqlite: Database, tmp_path: Path) -> None:
    own = """
[[price_plans.versions]]
valid_from = 2024-01-01
fixed_fee = "499.50"
included = 1000
vat_rate = 12
proration = "daily"
tiers = [{ above = 1000, price = "0.02" }, { above = 5000, price = "0.01" }]
fixed = { sv = "Annan avgift", en = "Another fee" }
"""
    run(sqlite, tmp_path, PLAN + own)
    with sqlite.read() as tx:
        plan = load_plans(tx).plan("plan", NOON.date())
    assert [(one.above, str(one.price)) for one in plan.tiers] == [(1000, "0.02"), (5000, "0.01")]
    assert (str(plan.fixed_fee), plan.texts["sv"].fixed, plan.texts["sv"].emails) == (
        "499.50",
        "Annan avgift",
        "Utöver",
    )
    assert (plan.vat_rate, plan.proration) == (12, "daily")


AGREEMENT = """
[[price_plans.agreements]]
customer = "eken"
valid_from = 2024-05-01
fixed_fee = 400
approved_by = "Eva Ek"
reason = "ramavtal"
"""
EKEN = '[[customers]]\nslug = "eken"\nname = "Eken"\n'


def test_what_is_agreed_with_a_customer_names_who_approved_it(sqlite: Database, tmp_path: Path) -> None:
    steps = run(sqlite, tmp_path, EKEN + PLAN + VERSION + AGREEMENT)
    assert [one.name for one in steps if one.kind == "price_plan"] == ["plan 2024-01-01", "plan 2024-05-01 / eken"]
    with sqlite.read() as tx:
        eken = load_directory(tx).customer("eken")
        assert str(load_plans(tx).plan("plan", NOON.date(), eken.id).fixed_fee) == "400.00"
    assert {one.done for one in run(sqlite, tmp_path, EKEN + PLAN + VERSION + AGREEMENT)} == {Done.SAME}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (PLAN, r"\[\[price_plans\]\] plan: it has no \[\[price_plans.versions\]\]"),
        (PLAN + VERSION.replace("500", "-500"), "fixed_fee must not be negative"),
        (PLAN + VERSION.replace("500", "99999999"), "taken for a mistake"),
        (PLAN + VERSION.replace('"0.012"', '"12000"'), "taken for a mistake"),
        (PLAN + VERSION.replace('"0.012"', "0.012"), "price must be a number in quotes"),
        (PLAN + VERSION.replace('"0.012"', '"0,012"'), "price must be a number in quotes"),
        (PLAN + VERSION.replace('"0.012"', '"1e-2"'), "price must be a number in quotes"),
        (PLAN + VERSION.replace('price = "0.012"', ""), "price is missing"),
        (PLAN + VERSION + 'tiers = [{ above = 10000, price = "0.01" }]', "leave one of them out"),
        (PLAN + VERSION.replace('price = "0.012"', 'tiers = [{ above = 12000, price = "0.01" }]'), "10001 to 12000 have no price"),
        (PLAN + VERSION.replace('price = "0.012"', 'tiers = [{ above = 10000, price = "0.01", more = 1 }]'), "more is not known"),
        (PLAN + VERSION + "proration = \"weekly\"", "proration must be none or daily"),
        (PLAN + VERSION + "valid_until = 2023-01-01", "before it begins"),
        (PLAN + VERSION + VERSION, "two versions are valid from 2024-01-01"),
        (PLAN + VERSION + "valid_until = 2024-05-31" + VERSION.replace("2024-01-01", "2024-07-01"), "no version is valid on 2024-06-01"),
        (PLAN + VERSION + "valid_until = 2024-07-31" + VERSION.replace("2024-01-01", "2024-07-01"), "two versions are valid on 2024-07-01"),
        (PLAN + VERSION.replace("2024-01-01", '"2024-01-01"'), "valid_from must be a day"),
        (PLAN + VERSION + "vat_rate = 19", "no Swedish VAT rate"),
        (PLAN + VERSION + "fixed_fe = 3", "did you mean fixed_fee"),
        (PLAN.replace("[[price_plans]]", '[[price_plans]]\ncurrency = "BTC"') + VERSION, "the currency BTC cannot be billed in"),
        (PLAN.replace('sv = "Plan", ', "") + VERSION, "name is missing in the language sv"),
        (PLAN.replace('en = "Over"', 'en = "Over", de = "x"') + VERSION, "there is no language de"),
        (PLAN.replace("{period}", "{month}") + VERSION, "something else in braces"),
        (PLAN.replace('emails = { sv = "Utöver", en = "Over" }', "") + VERSION, "emails is missing"),
        (PLAN + VERSION + PLAN + VERSION, "the price plan plan is there already"),
        (PLAN + VERSION + AGREEMENT, "there is no customer eken"),
        (EKEN + PLAN + VERSION + AGREEMENT + AGREEMENT, "two agreements with a customer"),
        (EKEN + PLAN + VERSION + AGREEMENT.replace("ramavtal", " "), "approved_by and reason"),
        (EKEN + PLAN + VERSION + AGREEMENT.replace("fixed_fee = 400", ""), "must change fixed_fee, included or price"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands_and_nothing_is_written(
    sqlite: Database, tmp_path: Path, toml: str, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words) as refused:
        run(sqlite, tmp_path, toml)
    assert "ombud.toml" in str(refused.value)
    with sqlite.read() as tx:
        assert load_plans(tx).versions == {}
        assert load_directory(tx).customers == {}


# --- seller and payers ---------------------------------------------------------------------------------------------


def test_the_vendors_invoice_data_come_from_the_file(sqlite: Database, tmp_path: Path) -> None:
    run(sqlite, tmp_path, SELLER)
    changed = run(sqlite, tmp_path, SELLER + 'plusgiro = "4-2"\npayment_days = 20\n')
    assert [(one.done, one.kind) for one in changed] == [(Done.CHANGED, "seller")]
    with sqlite.read() as tx:
        assert (load_seller(tx).payment_days, load_seller(tx).plusgiro) == (20, "4-2")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (SELLER.replace("0643", "0644"), "org_number: it must be ten digits with a right check digit"),
        (SELLER.replace("991-2346", "991-2347"), "bankgiro: it must be seven or eight digits"),
        (SELLER.replace('bankgiro = "991-2346"', ""), "or nobody can pay"),
        (SELLER.replace('street = "Molngatan 1"', ""), "street: it is missing"),
        (SELLER + 'vat_number = "SE123456789001"', "vat_number: it must be SE559990064301"),
        (SELLER + 'e_invoice_address = "5599900643"', "e_invoice_address: it must be a scheme"),
        (SELLER + "payment_days = 0", "payment_days: it must be 1 to 365"),
        (SELLER.replace("Molntjänst AB", " "), "must have a name"),
        (SELLER + "bankgirot = 1", "did you mean bankgiro"),
    ],
)
def test_a_mistake_in_the_vendors_data_is_refused(sqlite: Database, tmp_path: Path, toml: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        run(sqlite, tmp_path, toml)


HEADER = "slug,name,org_number,domain,contact_name,contact_email,language"


def listed(sqlite: Database, tmp_path: Path, columns: str, values: str) -> list[Step]:
    (tmp_path / "customers.csv").write_text(f"{HEADER},{columns}\neken,Eken,,,,,sv,{values}\n", "utf-8")
    return run(sqlite, tmp_path, 'customers = "customers.csv"\n')


def test_the_customer_list_says_how_each_wants_to_be_invoiced(sqlite: Database, tmp_path: Path) -> None:
    columns = "buyer_reference,e_invoice_address,street,postal_code,city,customer_number"
    steps = listed(sqlite, tmp_path, columns, "Inköp,0007:5599901013,Ekvägen 1,123 45,Ekby,K17")
    assert ("payer", Done.ADDED) in [(one.kind, one.done) for one in steps]
    with sqlite.write() as tx:
        eken = load_directory(tx).customer("eken")
        payer = payer_of(tx, eken.id)
        assert (payer.reference, payer.endpoint, payer.city, payer.number) == (
            "Inköp",
            "0007:5599901013",
            "Ekby",
            "K17",
        )
        put_payer(tx, eken.id, type(payer)(reference="Sagt sedan", city="Ekby"))
    listed(sqlite, tmp_path, columns, ",,Ekvägen 2,,,")  # what is empty says nothing
    with sqlite.read() as tx:
        payer = payer_of(tx, eken.id)
    assert (payer.reference, payer.street) == ("Sagt sedan", "Ekvägen 2")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("e_invoice_address", "5599901013", "line 2: e_invoice_address: it must be a scheme"),
        ("invoice_email", "nobody", "line 2: invoice_email: "),
        ("country", "Sverige", "line 2: country: it must be two letters"),
        ("buyer_reference", "x" * 201, "longer than 200"),
    ],
)
def test_a_mistake_in_the_list_is_refused_with_its_line(
    sqlite: Database, tmp_path: Path, column: str, value: str, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        listed(sqlite, tmp_path, column, value)
