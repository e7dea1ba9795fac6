"""Closing a month: the lock keeps what the preview showed or nothing, once, in order, and what comes late is adjusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from ombud.accounts import Customer, load_directory, put_customer
from ombud.billing import close, drafts
from ombud.billing.basis import LineKind, VatCategory, digest, from_text, to_text
from ombud.billing.close import Preview, lock, preview
from ombud.billing.credit import credit
from ombud.billing.drafts import Facts
from ombud.billing.ledger import (
    State,
    bases_of,
    basis_of,
    mark_exported,
    period_of,
    periods,
)
from ombud.billing.parties import Payer, payer_of, put_payer, put_seller
from ombud.billing.planbook import put_plan
from ombud.db import Database, Transaction
from ombud.errors import (
    BadField,
    EarlierPeriodOpen,
    LaterPeriodLocked,
    NotFound,
    NotPreviewed,
    PeriodLocked,
    PeriodNotEnded,
    PeriodNotLocked,
    PreviewDiffers,
    PreviewHasFaults,
    SellerMissing,
)
from ombud.usage import Counted
from tests.billing.conftest import JULY_2, JUNE_3, SELLER, SQLITE, Shop, both_at_once, make_plan
from tests.conftest import NOON

MAY, JUNE = "2024-05", "2024-06"
MAY_1, MAY_7, MAY_31 = date(2024, 5, 1), date(2024, 5, 7), date(2024, 5, 31)
JUNE_1 = date(2024, 6, 1)


@pytest.fixture
def may(shop: Shop) -> Shop:
    """A month with 40 000 e-mails of Eken's and 400 of Linden's."""
    shop.live(shop.eken, MAY_1)
    shop.live(shop.linden, MAY_7)
    shop.sent(shop.eken, MAY_7, 15_000)
    shop.sent(shop.eken, MAY_31, 25_000)
    shop.sent(shop.linden, MAY_7, 400)
    return shop


def previewed(shop: Shop, period: str = MAY, now: datetime = JUNE_3) -> Preview:
    return preview(shop.database, period, now, "eva")


def locked(shop: Shop, period: str = MAY, now: datetime = JUNE_3, **more: str) -> tuple[str, ...]:
    return lock(shop.database, period, now, "eva", **more).numbers


def test_a_month_goes_from_open_to_exported(may: Shop) -> None:
    def state() -> State:
        with may.database.read() as tx:
            return period_of(tx, MAY).state

    assert state() is State.OPEN
    shown = previewed(may)
    assert state() is State.PREVIEWED
    assert shown.summary["totals"] == [{"currency": "SEK", "net": "1360.00", "vat": "340.00", "total": "1700.00"}]
    assert (shown.summary["invoices"], shown.summary["emails"], shown.summary["red"]) == (2, 40_400, 0)
    with may.database.write() as tx, pytest.raises(PeriodNotLocked):
        mark_exported(tx, MAY, JUNE_3)
    assert locked(may) == ("M1001", "M1002")
    assert state() is State.LOCKED
    with may.database.write() as tx:
        mark_exported(tx, MAY, JUNE_3)
        mark_exported(tx, MAY, JULY_2)  # again: the first time counts
    with may.database.read() as tx:
        (month,) = periods(tx)
    assert (month.state, month.exported_at, month.locked_by) == (State.EXPORTED, JUNE_3, "eva")


def test_what_is_locked_is_the_preview_with_a_number_and_a_date(may: Shop) -> None:
    shown = {one.buyer.slug: one for one in previewed(may).bases}
    locked(may)
    with may.database.read() as tx:
        kept = {one.basis.buyer.slug: one for one in bases_of(tx, MAY)}
    assert {
        slug: replace(one.basis, number="", issued=shown[slug].issued, due=shown[slug].due)
        for slug, one in kept.items()
    } == shown
    eken = kept["eken"].basis
    assert (eken.number, eken.issued, eken.due) == ("M1001", date(2024, 6, 3), date(2024, 7, 3))
    assert (str(eken.net), str(eken.vat), str(eken.total), eken.emails) == ("860.00", "215.00", "1075.00", 40_000)
    assert (eken.buyer.org_number, eken.buyer.vat_number, eken.buyer.reference) == (
        "559990-1013",
        "SE559990101301",
        "Inköp",
    )
    assert kept["eken"].sha256 == digest(to_text(eken))
    assert from_text(to_text(eken)) == eken


def test_a_preview_that_is_made_again_is_the_same_until_something_changes(may: Shop) -> None:
    first = previewed(may)
    assert previewed(may).hash == first.hash
    may.sent(may.linden, MAY_31, 1)
    assert previewed(may).hash != first.hash


@SQLITE
@pytest.mark.parametrize(
    "change",
    [
        lambda shop: shop.sent(shop.eken, MAY_31, 1),
        lambda shop: shop.live(add_third(shop), MAY_7),
        lambda shop: pays(shop, reference="Annan"),
        lambda shop: sells(shop),
        lambda shop: renamed(shop),
        lambda shop: shop.agreed(shop.eken, fixed_fee=Decimal(450)),
    ],
)
def test_the_lock_refuses_to_differ_from_its_preview_and_writes_nothing(
    may: Shop, change: Callable[[Shop], None]
) -> None:
    previewed(may)
    change(may)
    with pytest.raises(PreviewDiffers):
        locked(may)
    with may.database.read() as tx:
        assert bases_of(tx, MAY) == []
        assert period_of(tx, MAY).state is State.PREVIEWED
    previewed(may)
    assert locked(may)


def add_third(shop: Shop) -> Customer:
    with shop.database.write() as tx:
        put_customer(tx, "third", "Tredje AB", NOON, org_number="559990-1757")
        third = load_directory(tx).customer("third")
        put_payer(tx, third.id, Payer(reference="x"))
    return third


def pays(shop: Shop, **values: str) -> None:
    with shop.database.write() as tx:
        put_payer(tx, shop.eken.id, replace(payer_of(tx, shop.eken.id), **values))


def sells(shop: Shop) -> None:
    with shop.database.write() as tx:
        put_seller(tx, replace(SELLER, payment_days=20))


def renamed(shop: Shop, org_number: str = "559990-1013") -> None:
    with shop.database.write() as tx:
        put_customer(tx, "eken", "Eken Bostad AB", NOON, org_number=org_number)


def test_the_lock_says_which_customers_have_changed(may: Shop) -> None:
    previewed(may)
    may.sent(may.linden, MAY_31, 1)  # included, but the count is on the invoice too
    with pytest.raises(PreviewDiffers, match="linden"):
        locked(may)


@SQLITE
def test_the_lock_names_only_those_who_have_changed_also_when_another_month_was_previewed_since(may: Shop) -> None:
    previewed(may)
    previewed(may, JUNE, JULY_2)
    may.sent(may.linden, MAY_31, 1)
    with pytest.raises(PreviewDiffers) as refused:
        locked(may)
    assert refused.value.details["differences"] == "linden"


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """The next to work a month out reads its facts, and then something else happens before it writes."""

    def load_facts(tx: Transaction, period: str) -> Facts:
        facts = drafts.load_facts(tx, period)
        monkeypatch.undo()
        happens()
        return facts

    monkeypatch.setattr(close, "load_facts", load_facts)


def test_a_month_that_is_previewed_anew_while_it_is_locked_is_not_locked(
    may: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    previewed(may)

    def anew() -> None:
        may.sent(may.linden, MAY_31, 1)
        previewed(may)

    meanwhile(monkeypatch, anew)
    with pytest.raises(PreviewDiffers, match="previewed anew"):
        locked(may)
    with may.database.read() as tx:
        assert (bases_of(tx, MAY), period_of(tx, MAY).state) == ([], State.PREVIEWED)


def test_a_month_that_is_locked_while_it_is_previewed_stays_as_it_was_locked(
    may: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = previewed(may).hash
    meanwhile(monkeypatch, lambda: locked(may))
    with pytest.raises(PeriodLocked):
        preview(may.database, MAY, JUNE_3, "another")
    with may.database.read() as tx:
        month = period_of(tx, MAY)
    assert (month.hash, month.previewed_by) == (hashed, "eva")


@SQLITE
def test_invoices_are_numbered_in_the_order_of_the_customers_names(may: Shop) -> None:
    with may.database.write() as tx:
        put_customer(tx, "aspen", "Aspen AB", NOON, org_number="559990-1757")
        aspen = load_directory(tx).customer("aspen")
        put_payer(tx, aspen.id, Payer(reference="x"))
    may.live(aspen, MAY_7)
    previewed(may)
    locked(may)
    with may.database.read() as tx:
        assert [(one.basis.number, one.basis.buyer.slug) for one in bases_of(tx, MAY)] == [
            ("M1001", "aspen"),
            ("M1002", "eken"),
            ("M1003", "linden"),
        ]


@SQLITE
def test_the_hash_that_was_looked_at_must_be_the_last_previews(may: Shop) -> None:
    first = previewed(may).hash
    may.sent(may.linden, MAY_31, 1)
    last = previewed(may).hash
    with pytest.raises(PreviewDiffers, match=first[:12]):
        locked(may, expected=first)
    assert locked(may, expected=last)


def test_a_month_is_locked_when_it_has_ended_in_stockholm_and_not_before(may: Shop) -> None:
    end = datetime(2024, 5, 31, 22, 0, tzinfo=UTC)
    assert previewed(may, now=end - timedelta(seconds=1)).summary["ended"] is False
    with pytest.raises(PeriodNotEnded, match="2024-06-01"):
        locked(may, now=end - timedelta(seconds=1))
    assert locked(may, now=end)


def test_there_is_no_lock_without_a_preview(may: Shop) -> None:
    with pytest.raises(NotPreviewed, match="ombud billing preview"):
        locked(may)


def test_a_second_lock_and_a_preview_of_what_is_locked_are_refused(may: Shop) -> None:
    previewed(may)
    locked(may)
    for again in (lambda: locked(may), lambda: previewed(may)):
        with pytest.raises(PeriodLocked, match="2024-06-03 10:00"):
            again()
    with may.database.read() as tx:
        assert len(bases_of(tx, MAY)) == 2


def test_of_two_who_lock_at_once_one_wins_and_the_other_is_told(may: Shop) -> None:
    previewed(may)
    said = both_at_once(lambda: locked(may))
    assert sorted(map(str, said)) == sorted([str(("M1001", "M1002")), "period_locked"])
    with may.database.read() as tx:
        assert len(bases_of(tx, MAY)) == 2


@SQLITE
@pytest.mark.parametrize("wrong", ["2024-13", "2024-5", "maj", "2024-05-01", "", "2024-00"])
def test_what_is_no_month_is_refused(shop: Shop, wrong: str) -> None:
    with pytest.raises(BadField, match="write it as 2024-05"):
        previewed(shop, wrong)


# --- what is missing -----------------------------------------------------------------------------------------------


def test_without_a_seller_there_are_no_invoices(database: Database) -> None:
    with pytest.raises(SellerMissing, match=r"\[vendor.invoice\]"):
        preview(database, MAY, JUNE_3, "eva")


@SQLITE
@pytest.mark.parametrize(
    ("break_it", "code", "red"),
    [
        (lambda shop: pays(shop, reference=""), "buyer_reference_missing", True),
        (lambda shop: renamed(shop, ""), "org_number_missing", True),
        (lambda shop: renamed(shop, "559990-1014"), "org_number_wrong", True),
        (lambda shop: pays(shop, city=""), "address_missing", False),
        (lambda shop: pays(shop, country="NO", vat_number=""), "vat_number_missing", True),
    ],
)
def test_what_is_missing_is_a_list_with_what_to_do(
    may: Shop, break_it: Callable[[Shop], None], code: str, red: bool
) -> None:
    break_it(may)
    if code == "vat_number_missing":
        renamed(may, "")
    found = [one for one in previewed(may).summary["faults"] if one["code"] == code]
    assert [(one["customer"], one["red"]) for one in found] == [("eken", red)]
    assert found[0]["sv"] != found[0]["en"]


def test_red_faults_stop_the_lock_unless_someone_gives_a_reason(may: Shop) -> None:
    pays(may, reference="")
    previewed(may)
    with pytest.raises(PreviewHasFaults, match="eken: buyer_reference_missing"):
        locked(may)
    with may.database.read() as tx:
        assert bases_of(tx, MAY) == []
    assert locked(may, reason="De tar emot på papper.")
    with may.database.read() as tx:
        assert period_of(tx, MAY).reason == "De tar emot på papper."


@SQLITE
def test_an_order_number_does_for_a_reference_and_an_address_for_the_number(may: Shop) -> None:
    pays(may, reference="", order_number="4711", endpoint="0007:5599901013")
    assert [one["code"] for one in previewed(may).summary["faults"] if one["customer"] == "eken"] == []


def test_billable_mail_of_a_customer_without_a_plan_is_seen_and_not_invoiced(shop: Shop) -> None:
    shop.sent(shop.eken, MAY_7, 1)
    summary = previewed(shop).summary
    assert [(one["code"], one["customer"], one["red"]) for one in summary["faults"]] == [
        ("billable_without_plan", "eken", True)
    ]
    assert (summary["invoices"], summary["emails"]) == (0, 1)


@SQLITE
def test_a_buyer_in_another_eu_country_accounts_for_the_vat_itself(may: Shop) -> None:
    pays(may, country="DK", vat_number="DK12345678")
    eken = next(one for one in previewed(may).bases if one.buyer.slug == "eken")
    assert {line.vat_category for line in eken.lines} == {VatCategory.REVERSE_CHARGE}
    assert (str(eken.vat), str(eken.total)) == ("0.00", "860.00")
    pays(may, country="DK", vat_number="DE123456789")  # not that country's: who accounts for it is not clear
    eken = next(one for one in previewed(may).bases if one.buyer.slug == "eken")
    assert {line.vat_category for line in eken.lines} == {VatCategory.STANDARD}


# --- what has changed ----------------------------------------------------------------------------------------------


def test_the_next_months_preview_says_what_is_new_gone_unused_and_changed(may: Shop) -> None:
    previewed(may)
    locked(may)
    may.ends(may.linden, MAY_31)
    may.live(add_third(may), JUNE_1)
    may.sent(may.eken, JUNE_1, 100_000)
    summary = previewed(may, JUNE, JULY_2).summary
    assert (summary["new"], summary["gone"], summary["zero"]) == (["third"], ["linden"], ["third"])
    assert summary["changes"] == [{"customer": "eken", "before": "860.00", "now": "1580.00", "difference": "720.00"}]


@SQLITE
def test_the_biggest_change_is_first_whichever_way_it_goes_and_is_seen_against_the_invoice(may: Shop) -> None:
    may.live(add_third(may), MAY_7)  # as before
    may.sent(may.linden, MAY_31, 99_600)
    previewed(may)
    locked(may)
    with may.database.write() as tx:
        credit(tx, "M1001", JUNE_3, "eva", "fel")
    may.sent(may.eken, JUNE_1, 50_000)
    changes = previewed(may, JUNE, JULY_2).summary["changes"]
    assert [(one["customer"], one["before"], one["difference"]) for one in changes] == [
        ("linden", "1580.00", "-1080.00"),
        ("eken", "860.00", "120.00"),
    ]


def test_a_price_that_was_agreed_on_is_shown(may: Shop) -> None:
    may.agreed(may.eken, fixed_fee=Decimal(400))
    summary = previewed(may).summary
    assert [(one["customer"], one["approved"]) for one in summary["agreements"]] == [("eken", "Eva: ramavtal")]
    assert summary["totals"][0]["net"] == "1260.00"


# --- late ----------------------------------------------------------------------------------------------------------


def test_what_comes_late_is_a_named_line_of_the_next_month(may: Shop) -> None:
    previewed(may)
    locked(may)
    may.sent(may.eken, MAY_31, 12)  # 12 x 1,2 öre
    may.sent(may.linden, MAY_31, 3)  # among the included
    shown = previewed(may, JUNE, JULY_2)
    assert shown.summary["adjustments"] == [
        {"customer": "eken", "period": MAY, "emails": 12, "net": "0.14"},
        {"customer": "linden", "period": MAY, "emails": 3, "net": "0.00"},
    ]
    eken, linden = shown.bases
    assert [(line.kind, line.text("sv"), str(line.net)) for line in eken.lines] == [
        (LineKind.FIXED, "Grundavgift juni 2024, 10 000 mejl ingår", "500.00"),
        (LineKind.ADJUSTMENT, "Justering maj 2024: 12 mejl", "0.14"),
    ]
    assert (eken.lines[1].adjusts, eken.lines[1].start, eken.lines[1].end) == (MAY, MAY_1, MAY_31)
    assert len(linden.lines) == 1
    locked(may, JUNE, JULY_2)
    august = datetime(2024, 8, 2, 8, 0, tzinfo=UTC)
    assert previewed(may, "2024-07", august).summary["adjustments"] == []  # once, and not again


@SQLITE
def test_every_email_is_paid_for_once_whenever_it_is_counted(may: Shop) -> None:
    """Locked early, the rest of the month comes as adjustments: together they are what one invoice would have been."""
    previewed(may)
    locked(may)
    may.sent(may.linden, MAY_31, 10_000)
    previewed(may, JUNE, JULY_2)
    locked(may, JUNE, JULY_2)
    may.sent(may.linden, MAY_31, 5_000)
    august = datetime(2024, 8, 2, 8, 0, tzinfo=UTC)
    previewed(may, "2024-07", august)
    locked(may, "2024-07", august)
    with may.database.read() as tx:
        kept = [one for month in (JUNE, "2024-07") for one in bases_of(tx, month, customer_id=may.linden.id)]
    lines = [line for one in kept for line in one.basis.lines]
    adjusted = [line.net.amount for line in lines if line.adjusts == MAY]
    assert sum(adjusted) == (15_400 - 10_000) * Decimal("0.012")
    assert len(adjusted) == 2


def test_a_plan_that_turns_out_to_have_been_live_is_made_up_for(may: Shop) -> None:
    third = add_third(may)
    previewed(may)
    locked(may)
    may.live(third, MAY_7, at=JUNE_3)  # in the moment of the lock
    shown = {one.buyer.slug: one for one in previewed(may, JUNE, JULY_2).bases}
    assert [(line.kind, str(line.net)) for line in shown["third"].lines] == [
        (LineKind.FIXED, "500.00"),
        (LineKind.ADJUSTMENT, "500.00"),
    ]


def test_a_plan_that_had_not_even_begun_is_paid_back(may: Shop) -> None:
    previewed(may)
    locked(may)
    may.ends(may.linden, MAY_1, at=JUNE_3)  # it was to be live on the 7th, and was called off, as somebody finds out
    (linden,) = (one for one in previewed(may, JUNE, JULY_2).bases if one.buyer.slug == "linden")
    assert [(line.kind, line.adjusts, str(line.net)) for line in linden.lines] == [
        (LineKind.ADJUSTMENT, MAY, "-500.00")
    ]
    locked(may, JUNE, JULY_2)
    august = datetime(2024, 8, 2, 8, 0, tzinfo=UTC)
    assert [one.buyer.slug for one in previewed(may, "2024-07", august).bases] == ["eken"]  # once, and not again


@SQLITE
def test_an_invoice_that_comes_to_nothing_does_not_make_the_month_a_credited_one(may: Shop) -> None:
    may.ends(may.eken, MAY_31)
    previewed(may)
    locked(may)
    may.ends(may.linden, MAY_1, at=JUNE_3)
    may.live(may.linden, JUNE_1, at=JUNE_3)
    (linden,) = previewed(may, JUNE, JULY_2).bases
    assert [str(line.net) for line in linden.lines] == ["500.00", "-500.00"]
    locked(may, JUNE, JULY_2)
    with may.database.read() as tx:
        assert period_of(tx, JUNE).state is State.LOCKED
        assert [one.state for one in periods(tx)] == [State.LOCKED, State.LOCKED]


@SQLITE
def test_what_came_late_is_looked_for_three_months_back_and_no_further(may: Shop) -> None:
    for month in (5, 6, 7):
        previewed(may, f"2024-0{month}", datetime(2024, month + 1, 2, 8, 0, tzinfo=UTC))
        locked(may, f"2024-0{month}", datetime(2024, month + 1, 2, 8, 0, tzinfo=UTC))
    may.sent(may.eken, MAY_31, 1_000)
    september = datetime(2024, 9, 2, 8, 0, tzinfo=UTC)
    assert [one["net"] for one in previewed(may, "2024-08", september).summary["adjustments"]] == ["12.00"]
    assert previewed(may, "2024-09", september).summary["adjustments"] == []


@SQLITE
def test_a_plan_that_was_live_for_one_day_keeps_its_month_open(shop: Shop) -> None:
    shop.live(shop.eken, MAY_31)
    shop.ends(shop.eken, MAY_31)
    shop.live(shop.linden, JUNE_1)
    previewed(shop, JUNE, JULY_2)
    with pytest.raises(EarlierPeriodOpen, match=MAY):
        locked(shop, JUNE, JULY_2)


@SQLITE
def test_a_plan_that_was_called_off_before_it_began_costs_nothing_and_keeps_no_month_open(shop: Shop) -> None:
    shop.live(shop.eken, MAY_31)
    shop.ends(shop.eken, MAY_7)
    assert previewed(shop).bases == ()
    shop.live(shop.linden, JUNE_1)
    previewed(shop, JUNE, JULY_2)
    assert len(locked(shop, JUNE, JULY_2)) == 1


def test_months_are_locked_in_order(may: Shop) -> None:
    may.sent(may.eken, JUNE_1, 5)
    previewed(may, JUNE, JULY_2)
    with pytest.raises(EarlierPeriodOpen, match=MAY):
        locked(may, JUNE, JULY_2)
    previewed(may, now=JULY_2)
    locked(may, now=JULY_2)
    previewed(may, JUNE, JULY_2)
    locked(may, JUNE, JULY_2)
    previewed(may, "2024-04", JULY_2)
    with pytest.raises(LaterPeriodLocked, match="2024-06"):
        locked(may, "2024-04", JULY_2)


def test_a_month_with_nothing_to_invoice_may_be_left_out(shop: Shop) -> None:
    shop.live(shop.eken, MAY_1)
    shop.ends(shop.eken, MAY_7)
    previewed(shop)
    assert len(locked(shop)) == 1
    shop.live(shop.eken, date(2024, 7, 1))
    august = datetime(2024, 8, 2, 8, 0, tzinfo=UTC)
    previewed(shop, "2024-07", august)
    assert len(locked(shop, "2024-07", august)) == 1


def test_free_plans_make_no_invoice(database: Database, shop: Shop) -> None:
    with database.write() as tx:
        tx.execute(text("DELETE FROM price_plan"))
        put_plan(tx, [make_plan(fee="0")], [], NOON, date(2023, 12, 1))
    shop.live(shop.eken, MAY_1)
    shop.sent(shop.eken, MAY_7, 100)
    assert previewed(shop).bases == ()
    assert locked(shop) == ()


@SQLITE
def test_what_is_not_billable_is_not_invoiced(shop: Shop) -> None:
    shop.live(shop.eken, MAY_1)
    for what in set(Counted) - {Counted.BILLABLE}:
        shop.sent(shop.eken, MAY_7, 50_000, what)
    (basis,) = previewed(shop).bases
    assert (basis.emails, str(basis.net)) == (0, "500.00")


def test_an_invoice_that_nobody_knows_is_not_found(shop: Shop) -> None:
    with shop.database.read() as tx, pytest.raises(NotFound):
        basis_of(tx, "M9999")
