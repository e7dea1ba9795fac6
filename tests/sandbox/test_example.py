"""The example's data, which everything that people try first is made of."""

from __future__ import annotations

import re

import idna
import pytest

from ombud.sandbox import cast, example
from ombud.sandbox.nameserver import Zones
from ombud.sandbox.pdf import rent_notice_pdf

STORY = example.load()


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def test_there_are_twelve_customers_with_right_check_digits() -> None:
    assert len({row["slug"] for row in STORY.customers}) == 12
    assert all(re.fullmatch(r"559\d{3}-\d{4}", row["org_number"]) for row in STORY.customers)
    assert all(luhn(row["org_number"].replace("-", "")) for row in STORY.customers)
    assert {row["alternative"] for row in STORY.customers} == {"own", "subcontractor", "none"}


def test_every_domain_is_one_that_nobody_can_own() -> None:
    addresses = [row["email"] for row in STORY.recipients] + [row["contact_email"] for row in STORY.customers]
    assert all(address.lower().endswith(".example") for address in addresses)
    assert all(row["domain"].endswith(".example") for row in STORY.customers)


def test_there_are_six_hundred_recipients_of_five_customers_that_the_receivers_serve() -> None:
    served = {domain for receiver in cast.RECEIVERS for domain in receiver.domains}
    assert len({row["email"].lower() for row in STORY.recipients}) == 600
    assert len({row["customer"] for row in STORY.recipients}) == 5
    assert {row["email"].rpartition("@")[2].lower() for row in STORY.recipients} == served
    assert all(luhn(row["ocr"]) for row in STORY.recipients)


def test_the_notice_names_only_columns_of_the_recipients() -> None:
    names = set(re.findall(r"\{\{(\w+)\}\}", STORY.notice.subject + STORY.notice.text))
    assert names <= STORY.recipients[0].keys()
    assert STORY.notice.subject.startswith("Hyresavi för lägenhet")
    assert STORY.notice.text.startswith("Hej {{name}}!")


def test_the_zone_file_is_read_and_knows_every_customer() -> None:
    Zones().add(STORY.records)
    for row in STORY.customers:
        assert idna.encode(row["domain"], uts46=True).decode() in STORY.records


@pytest.fixture
def pdf() -> bytes:
    return rent_notice_pdf({
        "name": "Åsa (Öberg) \\ Łä", "lagenhet": "3-1101", "belopp": "8450,00", "ocr": "123", "forfallodag": "2024-04-30",
    })  # fmt: skip


def test_the_pdf_is_small_and_the_same_each_time(pdf: bytes) -> None:
    assert 1000 < len(pdf) < 3000
    row = STORY.recipients[0]
    assert rent_notice_pdf(row) == rent_notice_pdf(dict(row))


def test_the_pdf_says_where_each_object_begins(pdf: bytes) -> None:
    table = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert pdf[table : table + 4] == b"xref"
    starts = [int(entry) for entry in re.findall(rb"(\d{10}) 00000 n \n", pdf)]
    assert [pdf[start:].split(b" ", 1)[0] for start in starts] == [b"1", b"2", b"3", b"4", b"5"]
    length = int(re.search(rb"/Length (\d+)", pdf)[1])  # type: ignore[index]  # a miss fails the test as it should
    assert len(pdf.split(b"stream\n", 1)[1].split(b"\nendstream")[0]) == length


def test_the_pdf_writes_swedish_letters_in_windows_1252(pdf: bytes) -> None:
    assert rb"(\305sa \(\326berg\) \\ ?\344)" in pdf
    assert b"/WinAnsiEncoding" in pdf
