"""Runs ISO Schematron (query binding xslt2) with SaxonC, by making an XSLT stylesheet of it.

What makes Schematron more than a list of assertions: in each pattern, a node is judged by the first rule whose context it fits, and by
no other of that pattern. So each pattern becomes a mode, each rule a template, and the earlier rule has the higher priority.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

from lxml import etree
from saxonche import PySaxonProcessor

_SCH = "http://purl.oclc.org/dsdl/schematron"
_XSL = "http://www.w3.org/1999/XSL/Transform"


@dataclass(frozen=True, slots=True)
class Finding:
    """An assertion that does not hold."""

    rule: str
    fatal: bool
    text: str


class Judge:
    """One set of rules, compiled once. `rules` is a Schematron file (.sch) or a stylesheet made of one (.xslt, .xsl)."""

    def __init__(self, processor: PySaxonProcessor, rules: Path) -> None:
        self._processor = processor
        self._svrl = rules.suffix != ".sch"
        xslt = processor.new_xslt30_processor()
        if self._svrl:
            self._compiled = xslt.compile_stylesheet(stylesheet_file=str(rules))
        else:
            self._compiled = xslt.compile_stylesheet(stylesheet_text=stylesheet(rules))

    def findings(self, document: bytes) -> list[Finding]:
        node = self._processor.parse_xml(xml_text=document.decode())
        result = etree.fromstring(self._compiled.transform_to_string(xdm_node=node).encode())
        found = result.iter("{*}failed-assert", "{*}successful-report")
        return [Finding(one.get("id", ""), one.get("flag") != "warning", _text(one)) for one in found]


def _text(element: etree._Element) -> str:
    return " ".join("".join(map(str, element.itertext())).split())


def stylesheet(rules: Path) -> str:
    """The stylesheet that runs these rules and writes a `failed-assert` for each one that does not hold."""
    schema = etree.parse(str(rules)).getroot()
    spaces = {one.get("prefix"): one.get("uri") for one in schema.iter(f"{{{_SCH}}}ns")}
    sheet = etree.Element(_xsl("stylesheet"), nsmap={"xsl": _XSL, **spaces}, version="2.0")
    sheet.extend(copy.deepcopy(one) for one in schema.findall(_xsl("function")))
    sheet.extend(_let(one, "variable") for one in schema.findall(_sch("let")))
    start = etree.SubElement(sheet, _xsl("template"), match="/")
    findings = etree.SubElement(start, "findings")
    for number, pattern in enumerate(schema.findall(_sch("pattern"))):
        mode = f"pattern-{number}"
        etree.SubElement(findings, _xsl("apply-templates"), select="/", mode=mode)
        sheet.extend(_let(one, "variable") for one in pattern.findall(_sch("let")))
        _pattern(sheet, pattern, mode)
    return str(etree.tostring(sheet, encoding="unicode"))


def _pattern(sheet: etree._Element, pattern: etree._Element, mode: str) -> None:
    rules = pattern.findall(_sch("rule"))
    for number, rule in enumerate(rules):
        template = etree.SubElement(
            sheet, _xsl("template"), match=rule.get("context", ""), mode=mode, priority=str(len(rules) - number)
        )
        template.extend(_let(one, "variable") for one in rule.findall(_sch("let")))
        template.extend(_check(one) for one in rule.iterchildren(_sch("assert"), _sch("report")))
        _go_on(template, mode)
    _go_on(etree.SubElement(sheet, _xsl("template"), match="@*|node()|/", mode=mode, priority="0"), mode)


def _check(one: etree._Element) -> etree._Element:
    test = one.get("test", "")
    condition = etree.Element(_xsl("if"), test=f"not({test})" if one.tag == _sch("assert") else test)
    finding = etree.SubElement(condition, "failed-assert", id=one.get("id", ""), flag=one.get("flag", "fatal"))
    etree.SubElement(finding, _xsl("text")).text = _text(one)
    return condition


def _go_on(template: etree._Element, mode: str) -> None:
    etree.SubElement(template, _xsl("apply-templates"), select="@*|node()", mode=mode)


def _let(one: etree._Element, name: str) -> etree._Element:
    return etree.Element(_xsl(name), name=one.get("name", ""), select=one.get("value", ""))


def _sch(name: str) -> str:
    return f"{{{_SCH}}}{name}"


def _xsl(name: str) -> str:
    return f"{{{_XSL}}}{name}"
