"""A locked month is handed over once in each format, can be handed over again to the byte, and is never half there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import text

from ombud.accounts import load_directory, put_customer, put_product
from ombud.billing.close import lock, preview
from ombud.billing.credit import credit
from ombud.billing.exports import Accounts, Exported, Format, Order, export, ready, runs_of
from ombud.billing.ledger import State, bases_of, period_of
from ombud.billing.money import Money, Unit, UnitPrice
from ombud.billing.parties import Payer, put_payer, put_seller
from ombud.billing.planbook import put_plan
from ombud.billing.plans import Articles, PlanTexts, PricePlan, Proration, Tier
from ombud.billing.subscriptions import start
from ombud.db import Database
from ombud.errors import (
    ExportDiffers,
    ExportFileTaken,
    ExportOverlaps,
    InvoicesIncomplete,
    NothingToExport,
    PeriodNotLocked,
)
from ombud.usage import Counted, Tally, add_tallies
from tests.billing.exports.conftest import SELLER, Ubl

NOW = datetime(2024, 5, 3, 8, 0, tzinfo=UTC)
LATER = datetime(2024, 5, 21, 8, 0, tzinfo=UTC)
TEXTS = {
    "sv": PlanTexts("Utskick", "Utskick via underleverantör", "Mejl utöver {included}", "Justering {period}"),
    "en": PlanTexts("Mail", "Mail by subcontractor", "E-mails over {included}", "Adjustment of {period}"),
}
PLAN = PricePlan(
    "molntjanst-2024", date(2024, 1, 1), "SEK", Decimal(25), Money(Decimal(500), "SEK"), 10_000,
    (Tier(10_000, UnitPrice(Decimal("0.012"), "SEK", Unit.EMAIL)),), Proration.NONE, TEXTS, Articles("OMB-1", "OMB-2", "OMB-3"),
)  # fmt: skip
ADDRESS = {"street": "Storgatan 2", "postal_code": "222 22", "city": "Lund"}
PAYERS = {
    "almen": Payer(reference="Anna Ek", number="10022", **ADDRESS),
    "lindgarden": Payer(reference="4711", number="10023", **ADDRESS),
}


@pytest.fixture
def month(database: Database) -> Callable[..., Database]:
    """April 2024, locked: Lindgården with 40 000 e-mails, and Almen with none."""

    def locked(**payers: Payer) -> Database:
        with database.write() as tx:
            if database.postgres:  # a database that an earlier test has used: the runs that the tests name begin at 1
                tx.execute(text("ALTER SEQUENCE export_run_number_seq RESTART"))
            put_seller(tx, replace(SELLER, bankgiro="5050-1055", number_prefix="2024-", first_number=1001))
            put_product(tx, "hyra", "Hyra", NOW)
            put_customer(tx, "almen", "Bostads AB Almen", NOW, org_number="559990-1203")
            put_customer(tx, "lindgarden", "Stiftelsen Lindgården", NOW, org_number="559990-1385", language="sv")
            directory = load_directory(tx)
            put_plan(tx, [PLAN], [], NOW, date(2024, 1, 1))
            for slug, payer in {**PAYERS, **payers}.items():
                id_ = directory.customer(slug).id
                put_payer(tx, id_, payer)
                start(tx, id_, PLAN.slug, date(2024, 4, 1), NOW, by="test")
            add_tallies(tx, [
                Tally(date(2024, 4, day), directory.customer("lindgarden").id, directory.product("hyra").id, 1, what, number)
                for day, what, number in (
                    (2, Counted.BILLABLE, 12_000), (25, Counted.BILLABLE, 28_000), (25, Counted.TEST, 41), (26, Counted.SUPPRESSED, 7),
                )
            ])  # fmt: skip
        preview(database, "2024-04", NOW, "test")
        lock(database, "2024-04", NOW, "test", reason="" if not payers else "saknas ännu")
        return database

    return locked


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty directory to export into."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def handed(database: Database, form: Format, directory: Path, **more: object) -> list[Exported]:
    return export(database, Order("2024-04", form, **more), directory, NOW, "Ekonomi")  # type: ignore[arg-type]  # an order's own


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def contents(directory: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in directory.iterdir()}


def test_every_format_hands_the_month_over(month: Callable[..., Database], ubl: Ubl, out: Path) -> None:
    database = month()
    for form in Format:
        handed(database, form, out / form)
    assert {form: names(out / form) for form in ("peppol", "fortnox", "pdf", "sie", "csv", "excel-sv", "json")} == {
        "csv": ["2024-04-csv-run1.csv", "manifest-2024-04-csv-run1.json"],
        "excel-sv": ["2024-04-excel-sv-run2.csv", "manifest-2024-04-excel-sv-run2.json"],
        "json": ["2024-04-json-run3.json", "manifest-2024-04-json-run3.json"],
        "peppol": ["2024-1001-almen.xml", "2024-1002-lindgarden.xml", "manifest-2024-04-peppol-run4.json"],
        "sie": ["2024-04-sie-run5.si", "manifest-2024-04-sie-run5.json"],
        "fortnox": [
            "2024-1001-almen.fortnox.json", "2024-1002-lindgarden.fortnox.json", "manifest-2024-04-fortnox-run6.json",
        ],
        "pdf": ["2024-1001-almen.pdf", "2024-1002-lindgarden.pdf", "manifest-2024-04-pdf-run7.json"],
    }  # fmt: skip
    for name in ("2024-1001-almen.xml", "2024-1002-lindgarden.xml"):
        assert ubl.complaints((out / "peppol" / name).read_bytes()) == []


def test_the_manifest_has_each_files_checksum_and_what_the_invoices_come_to(
    month: Callable[..., Database], out: Path
) -> None:
    handed(month(), Format.PEPPOL, out)
    manifest = json.loads((out / "manifest-2024-04-peppol-run1.json").read_text("utf-8"))
    assert (manifest["run"], manifest["period"], manifest["format"], manifest["made_by"]) == (
        1,
        "2024-04",
        "peppol",
        "Ekonomi",
    )
    assert {one["name"]: one["sha256"] for one in manifest["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in contents(out).items() if name.endswith(".xml")
    }
    assert manifest["sums"] == [{"currency": "SEK", "count": 2, "net": "1360.00", "vat": "340.00", "total": "1700.00"}]
    assert [(one["number"], one["total"]) for one in manifest["invoices"]] == [
        ("2024-1001", "625.00"),
        ("2024-1002", "1075.00"),
    ]


def test_the_month_is_exported_once_it_has_been(month: Callable[..., Database], out: Path) -> None:
    database = month()
    with database.read() as tx:
        assert period_of(tx, "2024-04").state is State.LOCKED
    handed(database, Format.JSON, out)
    with database.read() as tx:
        assert period_of(tx, "2024-04").state is State.EXPORTED


@pytest.mark.parametrize("form", list(Format))
def test_the_same_again_is_the_same_run_and_the_same_bytes(
    month: Callable[..., Database], out: Path, form: Format
) -> None:
    database = month()
    (first,) = handed(database, form, out / "a")
    with database.write() as tx:  # what happens later does not change what was handed over
        lindgarden = load_directory(tx).customer("lindgarden").id
        put_payer(tx, lindgarden, Payer(reference="en annan", number="99999"))
        put_customer(tx, "lindgarden", "Ett nytt namn", LATER, org_number="559990-1385", language="en")
        add_tallies(tx, [Tally(date(2024, 4, 30), lindgarden, 1, 1, Counted.BILLABLE, 500)])
    (again,) = export(database, Order("2024-04", form), out / "b", LATER, "någon annan")
    assert contents(out / "a") == contents(out / "b")
    assert (first.again, again.again, first.run.number) == (False, True, again.run.number)
    assert (len(first.files), first.written, again.written) == (len(again.files), len(first.files), len(first.files))
    (third,) = export(database, Order("2024-04", form), out / "b", LATER, "någon annan")
    assert third.written == 0


def test_a_credit_made_later_comes_in_a_run_of_its_own_and_nothing_is_booked_twice(
    month: Callable[..., Database], ubl: Ubl, out: Path
) -> None:
    database = month()
    for form in (Format.SIE, Format.PEPPOL):
        handed(database, form, out / "first")
    with database.write() as tx:
        credit(tx, "2024-1002", LATER, "Ekonomi", "Dubbelt utskick")
    for form in (Format.SIE, Format.PEPPOL):
        (run,) = handed(database, form, out / "second")
        assert [one.number for one in run.bases] == ["2024-1003"]
    assert names(out / "second") == [
        "2024-04-sie-run3.si", "2024-1003-lindgarden.xml", "manifest-2024-04-peppol-run4.json", "manifest-2024-04-sie-run3.json",
    ]  # fmt: skip
    written = (out / "second" / "2024-1003-lindgarden.xml").read_bytes()
    assert ubl.complaints(written) == []
    assert "<cbc:ID>2024-1002</cbc:ID>" in written.decode()
    assert "faktura 2024-1002" in (out / "second" / "2024-04-sie-run3.si").read_bytes().decode("cp437")
    both = handed(database, Format.SIE, out / "again")
    assert [run.again for run in both] == [True, True]
    assert (out / "again" / "2024-04-sie-run1.si").read_bytes() == (out / "first" / "2024-04-sie-run1.si").read_bytes()


def test_anew_makes_a_further_round_of_everything(month: Callable[..., Database], out: Path) -> None:
    database = month()
    handed(database, Format.SIE, out)
    (run,) = handed(database, Format.SIE, out, anew=True, accounts=Accounts(sales=3011))
    assert (run.run.number, run.again, len(run.bases)) == (2, False, 2)
    (again,) = handed(database, Format.SIE, out, accounts=Accounts(sales=3011))
    assert (again.run.number, again.again, again.written) == (2, True, 0)


def test_the_pdf_can_be_had_in_the_other_language_too(month: Callable[..., Database], out: Path) -> None:
    database = month()
    handed(database, Format.PDF, out)
    handed(database, Format.PDF, out, language="en")
    assert "2024-1002-lindgarden-en.pdf" in names(out)
    with database.read() as tx:
        assert [run.form for run in runs_of(tx, "2024-04")] == ["pdf", "pdf-en"]


# --- what cannot be ----------------------------------------------------------------------------------------------------


def test_a_month_that_is_not_locked_is_not_exported(database: Database, out: Path) -> None:
    with pytest.raises(PeriodNotLocked, match="ombud billing lock --period 2024-04"):
        handed(database, Format.CSV, out)
    assert names(out) == []


def test_a_month_without_invoices_has_nothing_to_export(database: Database, out: Path) -> None:
    with database.write() as tx:
        put_seller(tx, replace(SELLER, bankgiro="5050-1055"))
    preview(database, "2024-04", NOW, "test")
    lock(database, "2024-04", NOW, "test")
    with pytest.raises(NothingToExport):
        handed(database, Format.CSV, out)


@pytest.mark.parametrize(
    ("form", "payer", "words"),
    [
        (Format.PEPPOL, Payer(number="1", **ADDRESS), "has no buyer reference"),
        (Format.FORTNOX, Payer(reference="4711", **ADDRESS), "has no customer number in Fortnox"),
    ],
)
def test_what_is_missing_is_said_with_the_customer_and_what_to_do_and_can_be_put_right(
    month: Callable[..., Database], out: Path, form: Format, payer: Payer, words: str
) -> None:
    database = month(almen=payer)
    with pytest.raises(InvoicesIncomplete) as raised:
        handed(database, form, out)
    assert "1 of the invoices of 2024-04" in str(raised.value)
    assert f"Bostads AB Almen (almen) {words}" in str(raised.value)
    assert "`ombud billing payer set almen --" in str(raised.value)
    assert "Bostads AB Almen (almen) saknar" in raised.value.text("sv")
    assert names(out) == []
    with database.read() as tx:
        assert runs_of(tx, "2024-04") == []
    look = ready(database, Order("2024-04", form))
    assert [one.customer for one in look.complaints] == ["almen"]

    with database.write() as tx:
        put_payer(tx, load_directory(tx).customer("almen").id, PAYERS["almen"])
    handed(database, form, out)
    with database.write() as tx:  # and what it was handed over with is kept
        put_payer(tx, load_directory(tx).customer("almen").id, Payer(reference="ny", number="ny"))
    assert [run.written for run in handed(database, form, out)] == [0]


def test_a_customer_without_organisation_number_gets_no_peppol_invoice(
    month: Callable[..., Database], out: Path
) -> None:
    database = month()
    with database.write() as tx:
        id_ = load_directory(tx).customer("almen").id
        put_customer(tx, "almen", "Bostads AB Almen", NOW, org_number="")
        add_tallies(tx, [Tally(date(2024, 5, 2), id_, 1, 1, Counted.BILLABLE, 1)])
    june = datetime(2024, 6, 3, 8, 0, tzinfo=UTC)
    preview(database, "2024-05", june, "test")
    lock(database, "2024-05", june, "test", reason="org.nr kommer")
    with pytest.raises(InvoicesIncomplete, match=r"Bostads AB Almen \(almen\) has no organisation number"):
        export(database, Order("2024-05", Format.PEPPOL), out, june, "Ekonomi")
    assert export(database, Order("2024-05", Format.CSV), out, june, "Ekonomi")


def test_a_run_that_would_come_out_differently_is_refused(month: Callable[..., Database], out: Path) -> None:
    database = month()
    handed(database, Format.SIE, out / "a")
    with pytest.raises(ExportDiffers, match="Run 1"):
        handed(database, Format.SIE, out / "b", accounts=Accounts(sales=3011))
    assert not (out / "b").exists()


def test_a_file_of_someone_elses_is_not_overwritten_and_no_run_is_made(
    month: Callable[..., Database], out: Path
) -> None:
    database = month()
    (out / "2024-1001-almen.xml").write_text("something else")
    with pytest.raises(ExportFileTaken):
        handed(database, Format.PEPPOL, out)
    assert names(out) == ["2024-1001-almen.xml"]
    with database.read() as tx:
        assert (runs_of(tx, "2024-04"), period_of(tx, "2024-04").state) == ([], State.LOCKED)
    (run,) = handed(database, Format.PEPPOL, out / "elsewhere")
    assert (run.run.number, run.again, run.written) == (1, False, 3)


def test_two_who_export_at_once_do_not_both_hand_an_invoice_over(month: Callable[..., Database], out: Path) -> None:
    database = month()

    def meanwhile(done: int, of: int) -> None:
        handed(database, Format.SIE, out / "other")

    with pytest.raises(ExportOverlaps):
        export(database, Order("2024-04", Format.SIE), out / "mine", NOW, "Ekonomi", meanwhile)
    assert not (out / "mine").exists()
    with database.read() as tx:
        assert len(runs_of(tx, "2024-04")) == 1


def test_the_sums_of_the_files_are_those_of_the_ledger(month: Callable[..., Database], out: Path) -> None:
    database = month()
    handed(database, Format.PEPPOL, out)
    path = ".//{*}LegalMonetaryTotal/{*}PayableAmount"
    payable = [Decimal(ElementTree.parse(one).findtext(path) or "") for one in out.glob("*.xml")]
    with database.read() as tx:
        assert sum(payable) == sum(one.basis.total.amount for one in bases_of(tx, "2024-04"))
