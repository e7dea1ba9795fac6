"""What a customer is shown: the example's own pages, with each customer's own values."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ombud.accounts import load_directory
from ombud.apply import Dkim, apply, read
from ombud.billing.money import Money
from ombud.campaigns.presenting import Presenter, Volume, load_presenter, load_volumes, said_money
from ombud.choices import LANGUAGES, Page, load_choices
from ombud.choices.pages import questions
from ombud.clock import STOCKHOLM
from ombud.db import Database
from ombud.errors import AlternativeNotOffered, NotFound
from ombud.seal import Seal
from ombud.usage import Counted, Tally, add_tallies
from tests.conftest import Cast

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024"
NOON = datetime(2024, 5, 7, 10, 0, tzinfo=UTC)
TODAY = NOON.astimezone(STOCKHOLM).date()
LINK = "https://e-post.example/c/3vQ"
HARD = "\N{NO-BREAK SPACE}"


def tally(customer_id: int, emails: int, *, gmail: int = 0, days_ago: int = 1) -> list[Tally]:
    day = TODAY - timedelta(days=days_ago)
    counted = ((Counted.ACCEPTED, emails), (Counted.TO_GMAIL, gmail), (Counted.RETRIED, 7))
    return [Tally(day, customer_id, 1, 1, what, number) for what, number in counted]


@pytest.fixture(scope="module")
def presenter(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Presenter:
    """Of the example's campaign; Granen sends much. It holds all that it needs: the database is gone by then."""
    path = tmp_path_factory.mktemp("example") / "ombud.db"
    shutil.copy(sqlite_template, path)
    database = Database.open(f"sqlite:///{path}")
    wanted = replace(read(EXAMPLE / "ombud.toml", {}), dkim=Dkim(algorithms=("ed25519-sha256",)))  # quickly made
    apply(database, Seal(bytes(32)), wanted, NOON)
    with database.write() as tx:
        add_tallies(tx, tally(load_directory(tx).customer("granen").id, 40_000, gmail=10_000))
        made = load_presenter(tx, load_choices(tx).campaign("molntjanst-2024"), NOON)
    database.close()
    return made


def test_the_volume_is_that_of_the_last_30_whole_days(database: Database, cast: Cast) -> None:
    eken = cast.eken.id
    with database.write() as tx:
        add_tallies(tx, [*tally(eken, 39_000, gmail=9_999), *tally(eken, 1_000, gmail=1, days_ago=30)])
        add_tallies(tx, [*tally(eken, 5, days_ago=31), *tally(eken, 5, days_ago=0)])
        assert load_volumes(tx, NOON) == {eken: Volume(40_000, 10_000)}
        assert load_volumes(tx, NOON, eken) == {eken: Volume(40_000, 10_000)}, "alike for one and for all"
        assert load_volumes(tx, NOON, cast.linden.id) == {}


def test_what_the_subcontractor_costs_is_said_in_the_readers_language(presenter: Presenter) -> None:
    granen = presenter.directory.customer("granen")
    swedish = presenter.shown(granen, "subcontractor", "sv").price.replace(HARD, " ")
    assert swedish == (
        "500 kr i månaden. I det ingår 10 000 mejl; varje mejl därutöver kostar 1,2 öre. Er volym de senaste 30 dagarna, "
        "40 000 mejl, kostar 860 kr i månaden. Priserna är utan moms."
    )
    english = presenter.shown(granen, "subcontractor", "en").price.replace(HARD, " ")
    assert "SEK 500 a month. It includes 10,000 e-mails" in english
    assert "40,000 e-mails, costs SEK 860 a month" in english
    assert presenter.shown(granen, "own", "sv").price == "Kostar inget hos oss, hur många mejl ni än skickar."


def test_the_words_name_products_and_the_versions_of_what_was_read(presenter: Presenter) -> None:
    shown = presenter.shown(presenter.directory.customer("granen"), "own", "sv")
    assert shown.words.startswith(
        "Alternativ 1: er egen e-postserver\n\nVi lämnar e-posten från Hyra, Teknisk Förvaltning,"
    )
    assert shown.texts == {"campaign": 1, "notice.sv": 1, "faq.sv": 1}
    with pytest.raises(AlternativeNotOffered):
        presenter.shown(presenter.directory.customer("granen"), "pigeon", "sv")


def test_two_who_see_another_price_have_seen_something_else(presenter: Presenter) -> None:
    first, second = (presenter.directory.customer(slug) for slug in ("granen", "norrvik"))
    assert presenter.shown(first, "own", "sv").sha256 == presenter.shown(second, "own", "sv").sha256
    assert presenter.shown(first, "subcontractor", "sv").sha256 != presenter.shown(second, "subcontractor", "sv").sha256


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", list(Page))
def test_every_page_of_the_example_can_be_read_by_every_customer(
    presenter: Presenter, page: Page, language: str
) -> None:
    for customer in presenter.directory.customers.values():
        html = presenter.page(page, customer, language, LINK)
        text = presenter.page_as_text(page, customer, language, LINK)
        assert customer.name in text
        assert "{{" not in html + text
        assert page is Page.FAQ or f'href="{LINK}"' in html


def test_the_faq_answers_25_questions_in_at_most_90_words_each_and_with_own_values(presenter: Presenter) -> None:
    granen = presenter.directory.customer("granen")
    for language in LANGUAGES:
        asked = presenter.questions(granen, language, LINK)
        assert len(asked) == 25
        for one in asked:
            words = re.sub(r"<[^>]+>", "", one.answer).replace(HARD, "").split()
            assert 15 <= len(words) <= 90, one.question
        assert "31" in asked[0].question
        assert any("860" in one.answer for one in asked)
    texts = {language: (EXAMPLE / f"faq.{language}.md").read_text("utf-8") for language in LANGUAGES}
    names = [[set(re.findall(r"\{\{(\w+)\}\}", one.answer)) for one in questions(text)] for text in texts.values()]
    assert names[0] == names[1], "both languages give the same values in the same answers"


def test_after_the_stop_no_days_are_left(presenter: Presenter) -> None:
    granen = presenter.directory.customer("granen")
    assert presenter.values(granen, "sv")["days_left"] == "24"
    later = replace(presenter, now=datetime(2024, 6, 3, tzinfo=UTC))
    assert later.values(granen, "sv")["days_left"] == "0"


def test_a_page_that_the_campaign_does_not_have_is_not_found(presenter: Presenter) -> None:
    bare = replace(presenter, texts={})
    with pytest.raises(NotFound):
        bare.page(Page.FAQ, presenter.directory.customer("granen"), "sv")


def test_money_within_a_sentence_has_ore_only_where_there_are_some() -> None:
    assert said_money(Money(Decimal("860"), "SEK"), "sv") == f"860{HARD}kr"
    assert said_money(Money(Decimal("1500.01"), "SEK"), "sv") == f"1{HARD}500,01{HARD}kr"
    assert said_money(Money(Decimal("1500.5"), "EUR"), "en") == f"EUR{HARD}1,500.50"
