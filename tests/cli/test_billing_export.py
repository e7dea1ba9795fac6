"""`ombud billing export`: from the example's list of wishes to the files that finance gets, by commands alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ombud.accounts import load_directory
from ombud.billing.exports import Format
from ombud.cli.billing_export import FORMATS
from ombud.db import Database
from ombud.usage import Counted, Tally, add_tallies
from tests.billing.exports.conftest import Ubl
from tests.billing.exports.conftest import ubl as ubl  # the same judges
from tests.cli.conftest import EXAMPLE, Ombud

IN_MAY = ("--at", "2024-05-02T08:00")


@pytest.fixture(scope="module")
def ombud(tmp_path_factory: pytest.TempPathFactory) -> Ombud:
    """The example in April 2024, with 40 000 e-mails of Lindgården's and 10 001 of Havsbris', locked."""
    directory = tmp_path_factory.mktemp("april")
    wishes = Path(shutil.copytree(EXAMPLE.parent, directory / "example")) / EXAMPLE.name
    text, rsa = wishes.read_text("utf-8"), 'algorithms = ["rsa-sha256"]'
    assert rsa in text
    wishes.write_text(text.replace(rsa, 'algorithms = ["ed25519-sha256"]'), "utf-8")  # RSA keys take long to make
    made = Ombud(directory / "dir")
    made("--at", "2024-04-01T08:00", "apply", wishes)
    database = Database.open(f"sqlite:///{made.directory / 'ombud.db'}")
    with database.write() as tx:
        found = load_directory(tx)
        hyra = found.product("hyra").id
        add_tallies(tx, [
            Tally(date(2024, 4, day), found.customer(slug).id, hyra, 3, Counted.BILLABLE, number)
            for slug, day, number in (("lindgarden", 25, 40_000), ("havsbris", 10, 10_001))
        ])  # fmt: skip
    database.close()
    made(*IN_MAY, "billing", "preview", "--period", "2024-04", "--json")
    made(*IN_MAY, "billing", "lock", "--period", "2024-04", "--yes")
    return made


def test_the_formats_are_those_that_there_are() -> None:
    assert set(FORMATS) == {str(one) for one in Format}


def test_a_locked_month_becomes_peppol_invoices_that_pass(ombud: Ombud, ubl: Ubl, tmp_path: Path) -> None:
    export = (
        *IN_MAY,
        "billing",
        "export",
        "--period",
        "2024-04",
        "--format",
        "peppol",
        "--out",
        tmp_path / "out",
        "--json",
    )
    (run,) = ombud(*export).json["runs"]
    files = {one["name"]: one["sha256"] for one in run["files"]}
    assert files == {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in (tmp_path / "out").iterdir()}
    totals = {}
    for path in (tmp_path / "out").glob("*.xml"):
        assert ubl.complaints(path.read_bytes()) == []
        tree = ElementTree.parse(path)
        name = tree.findtext("{*}AccountingCustomerParty/{*}Party/{*}PartyName/{*}Name")
        totals[name] = tree.findtext("{*}LegalMonetaryTotal/{*}PayableAmount")
    assert totals["Stiftelsen Lindgården"] == "1075.00"
    assert totals["Havsbris Fastighets AB"] == "625.01"
    assert [(one["customer"], one["total"]) for one in run["invoices"] if one["customer"] == "lindgarden"] == [
        ("lindgarden", "1075.00")
    ]

    (again,) = ombud(*export).json["runs"]
    assert (again["run"], again["again"], again["written"]) == (run["run"], True, 0)
    listed = ombud("billing", "exports", "--period", "2024-04", "--json").json
    assert [(one["format"], one["invoices"]) for one in listed] == [("peppol", len(run["invoices"]))]


def test_a_person_is_told_in_swedish(ombud: Ombud, tmp_path: Path) -> None:
    said = ombud(
        *IN_MAY,
        "--lang",
        "sv",
        "billing",
        "export",
        "--period",
        "2024-04",
        "--format",
        "sie",
        "--out",
        tmp_path / "out",
        "--table",
    )
    assert "fakturor." in said.out
    assert "2 filer skrivna till" in said.out


def test_what_is_missing_is_shown_before_anything_is_done(ombud: Ombud, tmp_path: Path) -> None:
    look = (*IN_MAY, "billing", "export", "--period", "2024-04", "--format", "fortnox", "--out", tmp_path / "out")
    found = ombud(*look, "--dry-run", "--json", code=3).json
    assert {one["code"] for one in found["missing"]} == {"customer_number_missing"}
    assert "lindgarden" in {one["customer"] for one in found["missing"]}
    error = ombud(*look, "--json", code=1).error
    assert error["code"] == "invoices_incomplete"
    assert "`ombud billing payer set" in error["detail"]
    assert not (tmp_path / "out").exists()

    for one in found["missing"]:
        ombud("billing", "payer", "set", one["customer"], "--number", f"F-{one['customer']}")
    ombud(*look, "--json")
    bodies = [json.loads(path.read_text("utf-8"))["Invoice"] for path in (tmp_path / "out").glob("*.fortnox.json")]
    assert "F-lindgarden" in {one["CustomerNumber"] for one in bodies}


def test_a_month_that_is_not_locked_is_refused_with_the_way_to_lock_it(ombud: Ombud, tmp_path: Path) -> None:
    export = ("billing", "export", "--period", "2024-05", "--format", "csv", "--out", tmp_path / "out", "--json")
    error = ombud(*IN_MAY, *export, code=1).error
    assert error["code"] == "period_not_locked"
    assert "ombud billing lock --period 2024-05" in error["detail"]


def test_a_language_is_only_for_the_pdf(ombud: Ombud, tmp_path: Path) -> None:
    ombud("billing", "export", "--period", "2024-04", "--format", "csv", "--language", "en", "--out", tmp_path, code=2)
