from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.choices.pages import NAMES, fill_page, fill_text, questions, unknown_names
from ombud.errors import MissingVariable

VALUES = dict.fromkeys(NAMES, "x") | {"link": "https://e-post.example/val/3vQ?a=1&b=2", "company": "Ek & Barr <AB>"}


def test_a_page_is_html_with_the_customers_values_escaped() -> None:
    assert fill_page("# Hej {{company}}\n\n**{{ cost }}** i månaden", VALUES) == (
        "<h1>Hej Ek &amp; Barr &lt;AB&gt;</h1>\n<p><strong>x</strong> i månaden</p>\n"
    )


def test_markup_in_the_file_is_shown_and_never_obeyed() -> None:
    assert "<script>" not in fill_page("<script>alert(1)</script>", VALUES)
    assert "href" not in fill_page("[x](javascript:alert(1))", VALUES)


def test_an_address_may_be_a_link_and_what_is_none_leads_nowhere() -> None:
    assert 'href="https://e-post.example/val/3vQ?a=1&amp;b=2"' in fill_page("[välj]({{link}})", VALUES)
    for hostile in ("javascript:alert(1)", 'https://x.example/" onclick="y', "", "data:text/html,x"):
        assert fill_page("[välj]({{link}})", {**VALUES, "link": hostile}) == '<p><a href="#">välj</a></p>\n'


@given(st.text(max_size=40))
def test_no_value_becomes_markup(value: str) -> None:
    page = fill_page("Hej {{company}}!\n\n- {{company}}", {**VALUES, "company": value})
    assert page.count("<") == fill_page("Hej x!\n\n- x", VALUES).count("<")


def test_text_keeps_values_as_they_are() -> None:
    assert fill_text("Hej **{{company}}**", VALUES) == "Hej **Ek & Barr <AB>**"


def test_a_name_without_a_value_is_told_before_a_customer_reads_it() -> None:
    assert unknown_names("{{company}} {{Kostnad}} {{cots}}") == ["Kostnad", "cots"]
    with pytest.raises(MissingVariable, match="cots"):
        fill_page("{{cots}}", VALUES)


def test_a_faq_is_taken_apart_into_questions_and_answers() -> None:
    found = questions("# Frågor\n\ninledning\n\n## Vad? {{company}}\n\nDet.\n\n- så\n\n## Hur?\nSå.\n")
    assert [(one.question, one.answer) for one in found] == [("Vad? {{company}}", "Det.\n\n- så"), ("Hur?", "Så.")]
    assert questions("inget") == []
