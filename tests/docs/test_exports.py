"""What docs/exports.md shows of each format is what Ombud writes."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from ombud.billing.exports import Accounts, Format, csv, fortnox, peppol, sie
from ombud.billing.exports import json as json_form
from tests.billing.exports.conftest import SELLER, credit_of, invoice

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exports.md"


def test_every_excerpt_is_found_in_what_is_written() -> None:
    credit = credit_of(invoice())
    written = "\n".join(
        data.decode("cp437" if data.startswith(b"#FLAGGA") else "utf-8").replace("\r\n", "\n")
        for data in (
            csv.write([invoice()], csv.RFC4180), csv.write([invoice()], csv.EXCEL_SV), json_form.write([invoice()], "2024-04"),
            peppol.write(invoice()), peppol.write(credit), fortnox.write(invoice()),
            sie.write([invoice(), credit], SELLER, Accounts(), date(2024, 5, 20)),
        )
    )  # fmt: skip
    excerpts = re.findall(r"^```(?:json|xml|csv|text)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(excerpts) >= 8
    manifest = [one for one in excerpts if '"files"' in one]
    assert len(manifest) == 1  # of a run, which test_handover looks at
    assert [one for one in excerpts if one not in written and one not in manifest] == []


def test_every_format_is_in_the_table() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [str(one) for one in Format]
