"""Who uses much is told before it costs more than anyone thought, in words with its own numbers."""

from __future__ import annotations

from datetime import date

import pytest

from ombud.accounts.people import Role, mark_bounced, put_person
from ombud.billing.alarms import due_alarms, put_alarms, set_cap
from ombud.campaigns.usageletters import usage_letters
from ombud.notices.letters import Letter
from ombud.notices.writing import write
from tests.billing.conftest import Shop
from tests.billing.conftest import kept_postgres as kept_postgres
from tests.billing.conftest import postgres_url as postgres_url
from tests.billing.conftest import shop as shop
from tests.conftest import NOON

MAY_7 = date(2024, 5, 7)


@pytest.fixture
def live(shop: Shop) -> Shop:
    shop.live(shop.eken, date(2024, 5, 1))
    with shop.database.write() as tx:
        put_person(tx, shop.eken.id, "Åsa Lindqvist", "asa@eken.example", NOON, may_choose=True)
    return shop


def letters(shop: Shop) -> list[Letter]:
    with shop.database.write() as tx:
        return usage_letters(tx, put_alarms(tx, due_alarms(tx, NOON), NOON), NOON)


def read(letter: Letter) -> str:
    common = {"greeting": "Hej Åsa", "vendor": "Molntjänst", "signature": "Eva", "phone": ""}
    written = write(letter.text, letter.language, {**common, **letter.values})
    return f"{written.subject}\n{written.text}".replace("\N{NO-BREAK SPACE}", " ")


def test_the_contact_is_told_at_80_and_100_percent_with_what_it_costs(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 8_500)
    (letter,) = letters(live)
    assert (letter.text, letter.address) == ("usage_nearly", "asa@eken.example")
    text = read(letter)
    for words in ("85 % av månadens mejl", "8 500 mejl", "10 000", "1,2 öre", "500,00 kr"):
        assert words in " ".join(text.split())
    live.sent(live.eken, MAY_7, 4_000)
    (letter,) = letters(live)
    assert letter.text == "usage_included"
    assert "530,00 kr" in read(letter)
    assert letters(live) == []


def test_when_both_come_at_once_the_higher_is_told(live: Shop) -> None:
    live.sent(live.eken, MAY_7, 12_000)
    assert [one.text for one in letters(live)] == ["usage_included"]


@pytest.mark.parametrize(
    ("hard", "text", "words"),
    [(False, "usage_cap", "stoppar inga mejl"), (True, "usage_hard_cap", "hålls massutskick kvar")],
)
def test_a_cap_is_told_with_what_it_does(live: Shop, hard: bool, text: str, words: str) -> None:
    with live.database.write() as tx:
        set_cap(tx, live.eken.id, 100, NOON, "åsa", hard=hard)
    live.sent(live.eken, MAY_7, 100)
    (letter,) = letters(live)
    assert letter.text == text
    assert words in " ".join(read(letter).split())


def test_who_looks_after_money_is_told_instead_and_nobody_whose_address_does_not_work(live: Shop) -> None:
    with live.database.write() as tx:
        person = put_person(tx, live.eken.id, "Kamrer", "ekonomi@eken.example", NOON, role=Role.FINANCE, language="en")
    live.sent(live.eken, MAY_7, 8_000)
    (letter,) = letters(live)
    assert (letter.address, letter.language) == ("ekonomi@eken.example", "en")
    with live.database.write() as tx:
        mark_bounced(tx, person.id, NOON)
    live.sent(live.eken, MAY_7, 2_000)
    assert [one.address for one in letters(live)] == ["asa@eken.example"]
