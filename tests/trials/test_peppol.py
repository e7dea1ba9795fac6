"""The Peppol trial: its Schematron engine judges as the standard says, and it tells what it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from saxonche import PySaxonProcessor

from trials.peppol.__main__ import main
from trials.peppol.schematron import Judge

RULES = """<schema xmlns="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt2">
  <ns prefix="i" uri="urn:i"/>
  <ns prefix="xs" uri="http://www.w3.org/2001/XMLSchema"/>
  <let name="most" value="100"/>
  <pattern>
    <let name="sum" value="sum(//i:line)"/>
    <rule context="i:line[@kind = 'gift']"><assert id="GIFT" test=". = 0" flag="warning">A gift costs nothing.</assert></rule>
    <rule context="i:line">
      <let name="amount" value="xs:decimal(.)"/>
      <assert id="MOST" test="$amount &lt;= $most" flag="fatal">A line is at most 100.</assert>
      <report id="NONE" test="$amount = 0" flag="warning">A line costs nothing.</report>
    </rule>
    <rule context="i:invoice"><assert id="SUM" test="$sum = @sum">The sum is wrong.</assert></rule>
  </pattern>
  <pattern><rule context="//*[not(*) and not(normalize-space())]"><assert id="EMPTY" test="false()">Empty.</assert></rule></pattern>
  <pattern><rule context="i:line/@kind"><assert id="KIND" test=". = 'gift'">Another kind.</assert></rule></pattern>
</schema>"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    rules = tmp_path_factory.mktemp("rules") / "rules.sch"
    rules.write_text(RULES)
    processor = PySaxonProcessor(license=False)
    judge = Judge(processor, rules)
    return lambda lines: [
        one.rule for one in judge.findings(f'<invoice xmlns="urn:i" sum="50">{lines}</invoice>'.encode())
    ]


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        ("<line>20</line><line>30</line>", []),
        ("<line>20</line><line>31</line>", ["SUM"]),
        ("<line>150</line><line>-100</line>", ["MOST"]),
        ("<line>50</line><line>0</line>", ["NONE"]),
        ('<line>50</line><line kind="gift">0</line>', []),  # the first rule that fits is the only one of its pattern
        ('<line kind="gift">50</line>', ["GIFT"]),
        ('<line kind="other">50</line>', ["KIND"]),
        ("<line>50</line><note/>", ["EMPTY"]),
    ],
)
def test_each_pattern_judges_a_node_by_the_first_rule_that_fits(
    judged: Callable[[str], list[str]], lines: str, rules: list[str]
) -> None:
    assert judged(lines) == rules


@pytest.mark.parametrize("arguments", [[], ["--rules", ""], ["--rules", "/nowhere/rules.sch"]])
def test_without_the_rules_it_says_where_they_are(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "make peppol PEPPOL_RULES=" in said
    assert "github.com/OpenPEPPOL/peppol-bis-invoice-3" in said


def test_a_vendor_is_judged_and_a_rule_that_is_broken_fails_the_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.sch"
    space = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"
    rules.write_text(
        f'<schema xmlns="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt2"><ns prefix="c" uri="{space}"/><pattern>'
        '<rule context="c:CreditNote"><assert id="NO-CREDIT" test="false()">Credits are not allowed here.</assert></rule></pattern></schema>'
    )
    assert main(["--rules", str(rules), "--customers", "12"]) == 1
    said = capsys.readouterr().out
    assert "x NO-CREDIT" in said
    assert "0 of 11 built-in faults are found by their rule." in said
