"""`make peppol PEPPOL_RULES=...`: OpenPEPPOL's Schematron judges every invoice and credit note of a generated vendor.

The rules are not part of this project. They are published at github.com/OpenPEPPOL/peppol-bis-invoice-3, in rules/sch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saxonche import PySaxonProcessor

from ombud.billing.basis import VatCategory
from trials.peppol.schematron import Judge
from trials.peppol.vendor import Document, closed_vendor, exported

WHERE = (
    "Give the rules: make peppol PEPPOL_RULES=PEPPOL-EN16931-UBL.sch\n"
    "They are published by OpenPEPPOL, with the Swedish ones in the same file: fetch rules/sch/PEPPOL-EN16931-UBL.sch\n"
    "from github.com/OpenPEPPOL/peppol-bis-invoice-3."
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault put into a good document, and the rule that must find it: so that silence means something."""

    right: str
    wrong: str
    rule: str


FAULTS = (
    Fault(
        'schemeID="0007">5599901005</cbc:EndpointID>',
        'schemeID="0007">5599901006</cbc:EndpointID>',
        "PEPPOL-COMMON-R049",
    ),
    Fault("SE559990100501", "SE5599901005", "SE-R-001"),
    Fault(">5599901005</cbc:CompanyID>", ">5599901006</cbc:CompanyID>", "SE-R-013"),
    Fault("Godkänd för F-skatt", "F-skatt", "SE-R-005"),
    Fault(">50501055<", ">5050-1055<", "SE-R-008"),
    Fault("<cbc:PaymentMeansCode>30<", "<cbc:PaymentMeansCode>31<", "SE-R-012"),
    Fault("<cbc:Percent>25</cbc:Percent>", "<cbc:Percent>24</cbc:Percent>", "SE-R-006"),
    Fault('">12.00</cbc:PriceAmount>', '">99000.00</cbc:PriceAmount>', "PEPPOL-EN16931-R120"),
    Fault('unitCode="C62">1000<', 'unitCode="MON">1000<', "PEPPOL-EN16931-R130"),
    Fault("<cbc:BuyerReference>4711</cbc:BuyerReference>", "", "PEPPOL-EN16931-R003"),
    Fault("billing:01:1.0", "billing:1.0", "PEPPOL-EN16931-R007"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m trials.peppol", description=__doc__)
    parser.add_argument("--rules", default="", help="PEPPOL-EN16931-UBL.sch, or a stylesheet made of it")
    parser.add_argument("--customers", type=int, default=600)
    parser.add_argument("--seed", type=int, default=20240531)
    asked = parser.parse_args(arguments)
    rules = Path(asked.rules)
    if not asked.rules or not rules.is_file():
        print(WHERE if not asked.rules else f"There is no file {rules}.\n{WHERE}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory, PySaxonProcessor(license=False) as processor:
        judge = Judge(processor, rules)
        with closed_vendor(Path(directory), asked.customers, asked.seed) as database:
            documents = exported(database, Path(directory))
        return _judged(judge, documents)


def _judged(judge: Judge, documents: Sequence[Document]) -> int:
    begun = time.perf_counter()
    broken: Counter[str] = Counter()
    passed = 0
    for document in documents:
        found = judge.findings(document.data)
        passed += not found
        broken.update(one.rule for one in found)
        if found and passed + broken.total() < 20:
            print(f"✖ {document.name}: {found[0].rule}: {found[0].text}")
    took = time.perf_counter() - begun
    for kind, number in sorted(Counter(_kind(document) for document in documents).items()):
        print(f"  {number:6} {kind}")
    print(f"{passed} of {len(documents)} pass ({took / len(documents) * 1000:.1f} ms each).")
    for rule, number in broken.most_common():
        print(f"  {number:6} x {rule}")
    caught = sum(_caught(judge, documents, fault) for fault in FAULTS)
    print(f"{caught} of {len(FAULTS)} built-in faults are found by their rule.")
    return 0 if passed == len(documents) and caught == len(FAULTS) else 1


def _kind(document: Document) -> str:
    basis = document.basis
    parts = [f"{'negative ' if basis.total.amount < 0 and not basis.is_credit else ''}{basis.kind}"]
    parts.append("VAT " + "/".join(f"{one.rate:f} %" for one in basis.vats))
    if basis.vats[0].category is VatCategory.REVERSE_CHARGE:
        parts.append("reverse charge")
    if any(line.adjusts for line in basis.lines):
        parts.append("adjusts an earlier month")
    return ", ".join(parts)


def _caught(judge: Judge, documents: Sequence[Document], fault: Fault) -> bool:
    """Whether the fault, put into the first document that has room for it, is found by its rule."""
    for document in documents:
        text = document.data.decode()
        if fault.right in text and "<cbc:InvoiceTypeCode>" in text:
            found = {one.rule for one in judge.findings(text.replace(fault.right, fault.wrong).encode())}
            if fault.rule in found:
                return True
            print(f"✖ {fault.rule} does not find {fault.wrong!r} in {document.name}: {sorted(found)}")
            return False
    print(f"✖ no document has {fault.right!r}")
    return False


if __name__ == "__main__":
    sys.exit(main())
