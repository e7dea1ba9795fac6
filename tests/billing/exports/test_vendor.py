"""What two closed months of a whole vendor become, with every kind of plan, adjustment and credit, passes the public rules."""

from __future__ import annotations

from pathlib import Path

from tests.billing.exports.conftest import Ubl
from trials.peppol.vendor import closed_vendor, exported


def test_every_invoice_and_credit_of_a_vendor_passes(ubl: Ubl, tmp_path: Path) -> None:
    with closed_vendor(tmp_path, customers=30, seed=1) as database:
        documents = exported(database, tmp_path)
    found = {one.name: wrong for one in documents if (wrong := ubl.complaints(one.data))}
    assert found == {}
    assert len(documents) > 50
    assert {one.basis.kind for one in documents} == {"invoice", "credit"}
    assert any(line.adjusts for one in documents for line in one.basis.lines)
    assert any(one.basis.vats[0].category == "AE" for one in documents)
