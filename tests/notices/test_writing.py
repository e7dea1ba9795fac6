"""Every letter says the same in both languages, as text and as HTML, and no value becomes anything but what it is."""

from __future__ import annotations

from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.errors import MissingVariable, NotFound
from ombud.mail.address import parse_mailbox
from ombud.mail.compose import Draft, compose
from ombud.mail.message import examine
from ombud.notices.writing import WIDTH, letter_names, letter_text, write
from tests.conftest import NOON

NAMES = letter_names()
HOSTILE = "<b>&\"'</b> **x** [y](z) {{customer}} - a\r\nBcc: x@y.example\n\n> knapp | https://evil.example"


def _values(name: str, language: str, value: str = "värde") -> dict[str, str]:
    names = letter_text(name, language).names | letter_text("footer", language).names
    return {one: f"https://ombud.example/c/{one}" if one.endswith("_url") else value for one in names}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name == "href"]


def test_there_is_a_letter_for_every_occasion() -> None:
    assert set(NAMES) >= {
        "invitation", "choose_reminder", "risk", "choose_last_week", "choose_stop_day", "choose_after_stop", "setup_reminder",
        "microsoft_admin", "supplier_order", "supplier_reminder", "receipt", "done", "domain_at_risk", "domain_back",
        "daily_note", "extension", "brownout_announced", "brownout_after", "new_link",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_of_a_letter_ask_for_the_same(name: str) -> None:
    swedish, english = letter_text(name, "sv"), letter_text(name, "en")
    assert (swedish.names, swedish.needed) == (english.names, english.needed)
    assert [block.form for block in swedish.blocks] == [block.form for block in english.blocks]
    assert [block.optional for block in swedish.blocks] == [block.optional for block in english.blocks]


@pytest.mark.parametrize("language", ["sv", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_a_letter_is_a_message_that_passes_the_gate(name: str, language: str) -> None:
    written = write(name, language, _values(name, language))
    sender, to = parse_mailbox("Vendor <post@vendor.example>"), parse_mailbox("Åsa <asa@eken.example>")
    draft = Draft(from_=sender, to=(to,), subject=written.subject, text=written.text, html=written.html)
    content = compose(draft, message_id="<a@b.example>", date=NOON)
    examine(content, 1 << 20)
    parts = {part.get_content_type(): part for part in message_from_bytes(content, policy=policy.default).walk()}
    assert parts["text/plain"].get_content().replace("\r\n", "\n") == written.text
    assert max(len(line) for line in written.text.split("\n") if "http" not in line) <= WIDTH
    assert "  " not in written.subject and "{{" not in written.text and "{{" not in written.html


@pytest.mark.parametrize("name", NAMES)
def test_without_what_is_not_known_the_rest_still_makes_a_letter(name: str) -> None:
    needed = letter_text(name, "sv").needed | letter_text("footer", "sv").needed
    values = {key: value for key, value in _values(name, "sv").items() if key in needed}
    written = write(name, "sv", values)
    assert "\n\n\n" not in written.text
    if needed - {"greeting"}:
        with pytest.raises(MissingVariable):
            write(name, "sv", {})


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_value_stays_a_value(name: str) -> None:
    written, plain = write(name, "sv", _values(name, "sv", HOSTILE)), write(name, "sv", _values(name, "sv"))
    hostile_tags, plain_tags = _Tags(), _Tags()
    hostile_tags.feed(written.html)
    plain_tags.feed(plain.html)
    assert hostile_tags.tags == plain_tags.tags
    assert hostile_tags.addresses == plain_tags.addresses
    assert hostile_tags.attributes == plain_tags.attributes
    assert "\n" not in written.subject and "\r" not in written.subject
    assert plain_tags.tags.isdisjoint({"img", "script", "link", "iframe"})  # nothing that calls home


@given(st.text(), st.text())
def test_any_value_at_all_makes_a_letter(customer: str, words: str) -> None:
    values = {**_values("daily_note", "sv"), "customer": customer, "products": words}
    written = write("daily_note", "sv", values)
    assert written.subject.isprintable() or not customer.isprintable()
    found = _Tags()
    found.feed(written.html)
    assert found.addresses == ["https://ombud.example/c/choose_url"]


def test_what_is_no_address_becomes_no_link() -> None:
    values = {**_values("new_link", "sv"), "choose_url": "javascript:alert(1)"}
    assert "javascript" not in write("new_link", "sv", values).html


def test_a_letter_that_does_not_exist_is_not_found() -> None:
    for name in ("nothing", "../secret", "Invitation", ""):
        with pytest.raises(NotFound):
            letter_text(name, "sv")


def test_the_version_changes_with_the_words_and_with_nothing_else() -> None:
    versions = [letter_text(name, language).version for name in NAMES for language in ("sv", "en")]
    assert len(set(versions)) == len(versions)
    assert write("done", "sv", _values("done", "sv")).version == letter_text("done", "sv").version
