"""Templates: names are replaced by values, once; nothing else happens."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.errors import BadField, MissingVariable, TooBig
from ombud.mail.template import Value, parse, render, variables


def test_each_name_is_replaced_by_its_value() -> None:
    text = "Hej {{namn}}! Hyran för {{ manad }} är {{belopp}} kr ({{antal}})."
    values: dict[str, Value] = {"namn": "Åsa", "manad": "maj", "belopp": "7 250", "antal": 2, "extra": "unused"}
    assert render(text, values, "none") == "Hej Åsa! Hyran för maj är 7 250 kr (2)."
    assert variables(text) == {"namn", "manad", "belopp", "antal"}


def test_a_template_is_taken_apart_once_for_many_recipients() -> None:
    template = parse("Hej {{namn}}!")
    assert [template.render({"namn": name}, "none") for name in ("Åsa", "Bo")] == ["Hej Åsa!", "Hej Bo!"]


def test_values_are_escaped_in_html_and_left_alone_in_text() -> None:
    values = {"namn": '<b>"O\'Neill" & co</b>'}
    assert render("{{namn}}", values, "html") == "&lt;b&gt;&quot;O&#x27;Neill&quot; &amp; co&lt;/b&gt;"
    assert render("{{namn}}", values, "none") == values["namn"]


@pytest.mark.parametrize(
    "text",
    [
        "Hej {{namn}}",
        "{{Namn}}",
        "{{ förnamn }}",
        "{{7*7}}",
        "{{x.__class__}}",
        "{{ x | safe }}",
        "{{1}}",
        "{{_" + "a" * 64 + "}}",
    ],
)
def test_a_name_without_a_value_stops_the_message(text: str) -> None:
    with pytest.raises(MissingVariable, match=r"\{\{.*\}\}"):
        render(text, {"x": "y", "Namn": "never looked up", "7*7": "49", "förnamn": "Åsa"}, "none")


@pytest.mark.parametrize(
    "text", ["{namn}", "{{}}", "{{namn}", "{{ na\nmn }}", "{% if x %}", "${x}", "#{x}", "<%= x %>", "%s %(x)s {0}", ""]
)
def test_what_is_no_name_in_double_braces_is_plain_text(text: str) -> None:
    assert render(text, {}, "none") == text
    assert variables(text) == frozenset()


def test_four_braces_are_two_plain_ones_and_a_name() -> None:
    assert render("{{{{namn}}}}", {"namn": "Åsa"}, "none") == "{{Åsa}}"


def test_what_a_value_holds_is_not_looked_at_again() -> None:
    assert render("{{a}}{{b}}", {"a": "{{b}}", "b": "{{a}}"}, "none") == "{{b}}{{a}}"
    assert render("{{a}}b}}", {"a": "{{", "b": "x"}, "none") == "{{b}}"


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": "b"}, object()])
def test_only_text_and_numbers_are_values(value: object) -> None:
    with pytest.raises(BadField):
        render("{{a}}", {"a": value}, "none")  # type: ignore[dict-item]  # what a JSON body may hold all the same


def test_a_value_named_many_times_cannot_fill_the_memory() -> None:
    with pytest.raises(TooBig):
        render("{{a}}" * 100_000, {"a": "x" * 1_000_000}, "none")
    with pytest.raises(TooBig):
        render("{{a}}", {"a": "xx"}, "none", limit=1)


def test_hostile_braces_cost_no_more_than_their_length() -> None:
    for hostile in ("{" * 1_000_000, "{{" + " " * 1_000_000, "{{a" * 300_000, "{{ " * 300_000, "{{" + " a" * 300_000):
        started = time.process_time()
        parse(hostile)
        assert time.process_time() - started < 1.0


@given(st.text("{} ab\n", max_size=40), st.text("{}ab", max_size=9), st.text("{}ab", max_size=9))
def test_rendering_changes_the_names_and_nothing_else(text: str, a: str, b: str) -> None:
    values = {name: {"a": a, "b": b}.get(name, "x") for name in variables(text)}
    try:
        rendered = render(text, values, "none")
    except MissingVariable:
        return
    pieces = parse(text).pieces
    assert rendered == "".join(values[piece] if n % 2 else piece for n, piece in enumerate(pieces))
    assert len(pieces) > 1 or rendered == text
