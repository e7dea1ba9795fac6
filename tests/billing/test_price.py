"""What a month costs: the story's table, parts of months, and that nothing depends on how it is cut up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombud.billing.basis import LineKind
from ombud.billing.money import Money, total
from ombud.billing.plans import Agreement, Plans, PricePlan, Proration
from ombud.billing.price import Priced, Stretch, Subscription, price, price_month, stretches_of
from tests.billing.conftest import make_plan

DAY = timedelta(days=1)
PLAN = make_plan()


@pytest.mark.parametrize(
    ("emails", "net", "vat", "sum_"),
    [
        (0, "500.00", "125.00", "625.00"),
        (10_000, "500.00", "125.00", "625.00"),
        (10_001, "500.01", "125.00", "625.01"),
        (12_500, "530.00", "132.50", "662.50"),
        (40_000, "860.00", "215.00", "1075.00"),
        (100_000, "1580.00", "395.00", "1975.00"),
    ],
)
def test_the_table_of_the_story(emails: int, net: str, vat: str, sum_: str) -> None:
    priced = price(PLAN, emails)
    assert (str(priced.net), str(priced.vat), str(priced.total)) == (net, vat, sum_)


def test_the_lines_say_what_is_paid_for_in_both_languages() -> None:
    fixed, emails = price(PLAN, 40_000, "2024-05").lines
    assert (fixed.kind, fixed.article, fixed.text("sv")) == (
        LineKind.FIXED,
        "FAST",
        "Grundavgift maj 2024, 10 000 mejl ingår",
    )
    assert (str(emails.quantity), str(emails.unit_price), str(emails.net)) == ("30000", "0.012", "360.00")
    assert (emails.text("sv"), emails.text("en")) == ("Utöver 10 000, 1,2 öre", "Over 10,000, 1.2 öre")


def test_tiers_are_gone_through_in_order() -> None:
    plan = make_plan(tiers=[(10_000, "0.012"), (50_000, "0.010"), (100_000, "0.008")])
    assert [str(line.quantity) for line in price(plan, 120_000).lines] == ["1", "40000", "50000", "20000"]
    assert str(price(plan, 120_000).net) == "1640.00"
    assert len(price(plan, 50_000).lines) == 2


# --- which plan on which day ---------------------------------------------------------------------------------------

MAY = "2024-05"


def plans(*versions: PricePlan, agreements: Sequence[Agreement] = ()) -> Plans:
    return Plans({"molntjanst-2024": versions}, {("molntjanst-2024", 1): tuple(agreements)} if agreements else {})


def month(
    known: Plans, *spans: tuple[int, int | None], emails: Mapping[int, int] | None = None, period: str = MAY
) -> Priced | None:
    """Eken's month, live from one day of May to another (None: still); e-mails by day of the month."""
    live = [
        Subscription(1, "molntjanst-2024", date(2024, 5, start), date(2024, 5, end) if end else None)
        for start, end in spans
    ]
    counted = {date(2024, 5, day): number for day, number in (emails or {}).items()}
    stretches = stretches_of(period, live, known, counted)
    return price_month(period, stretches) if stretches else None


def test_without_proration_the_month_in_which_it_goes_live_costs_all_of_the_fee() -> None:
    priced = month(plans(PLAN), (31, None), emails={31: 12_500})
    assert priced
    assert (str(priced.net), priced.included) == ("530.00", 10_000)
    assert [(line.start.day, line.end.day) for line in priced.lines] == [(1, 31), (1, 31)]


def test_with_proration_its_days_only_and_their_share_of_the_included() -> None:
    priced = month(plans(make_plan(proration=Proration.DAILY)), (16, None), emails={20: 10_000})
    assert priced
    assert priced.included == 5_161  # 16 of 31 days
    fixed, over = priced.lines
    assert (str(fixed.net), str(over.quantity)) == ("258.06", "4839")
    assert fixed.text("sv").endswith("(16-31 maj)")


def test_a_month_without_a_live_day_costs_nothing() -> None:
    assert month(plans(PLAN), (1, None), period="2024-04") is None
    assert month(plans(PLAN)) is None


def test_what_is_left_over_and_taken_up_again_in_a_month_is_paid_for_once() -> None:
    priced = month(plans(PLAN), (3, 10), (20, None), emails={5: 6_000, 15: 100, 25: 6_000})
    assert priced
    assert (str(priced.net), priced.emails) == ("525.20", 12_100)


def test_the_last_day_counts_and_mail_that_still_leaves_after_it_too() -> None:
    priced = month(plans(make_plan(proration=Proration.DAILY)), (1, 15), emails={15: 5_000, 16: 10})
    assert priced
    assert (priced.emails, priced.included) == (5_010, 4_839)


def test_mail_from_before_it_went_live_belongs_to_the_first_days_that_are_paid_for() -> None:
    priced = month(plans(make_plan(proration=Proration.DAILY)), (10, None), emails={2: 7})
    assert priced
    assert priced.emails == 7
    dearer = make_plan(date(2024, 5, 17), proration=Proration.DAILY)
    priced = month(plans(make_plan(proration=Proration.DAILY), dearer), (10, None), emails={2: 7, 20: 3})
    assert priced
    assert [(one.start.day, one.emails) for one in priced.stretches] == [(10, 7), (17, 3)]


def test_days_by_the_same_terms_that_follow_on_each_other_are_one_line() -> None:
    daily = plans(make_plan(proration=Proration.DAILY))
    ended_and_begun_anew, apart = month(daily, (1, 10), (11, None)), month(daily, (1, 10), (12, None))
    assert ended_and_begun_anew
    assert apart
    assert [(line.start.day, line.end.day) for line in ended_and_begun_anew.lines] == [(1, 31)]
    assert [(line.start.day, line.end.day) for line in apart.lines] == [(1, 10), (12, 31)]
    assert month(daily, (12, 31), (1, 10)) == apart  # in whichever order they were noted


def test_a_change_of_price_within_the_month_has_lines_of_its_own() -> None:
    dearer = make_plan(date(2024, 5, 17), fee="620", price="0.020")
    priced = month(plans(PLAN, dearer), (1, None), emails={10: 11_000, 20: 1_000})
    assert priced
    assert priced.included == 10_000  # one volume, used up in the order of the days
    assert [(line.kind, line.start.day, line.end.day, str(line.net)) for line in priced.lines] == [
        (LineKind.FIXED, 1, 16, "258.06"),
        (LineKind.EMAILS, 1, 16, "12.00"),
        (LineKind.FIXED, 17, 31, "300.00"),
        (LineKind.EMAILS, 17, 31, "20.00"),
    ]
    assert priced.plan == "molntjanst-2024 2024-01-01, molntjanst-2024 2024-05-17"


def test_an_agreement_that_ends_within_the_month_splits_it() -> None:
    agreed = Agreement("molntjanst-2024", 1, date(2024, 1, 1), date(2024, 5, 10), "Eva", "kampanjpris", Decimal(0))
    priced = month(plans(PLAN, agreements=[agreed]), (1, None))
    assert priced
    assert [(line.start.day, str(line.net)) for line in priced.lines] == [(11, "338.71")]


# --- an independent ledger: e-mail by e-mail, with fractions ---------------------------------------------------------


def half_up(value: Fraction, places: int = 2) -> Decimal:
    """The published rule."""
    step = 10**places
    sign = -1 if value < 0 else 1
    return Decimal(sign * int(abs(value) * step + Fraction(1, 2))) / step


def by_hand(period_days: int, parts: Sequence[tuple[PricePlan, int, int, int]]) -> Decimal:
    """Of parts (plan, first day, last day, e-mails): fees by days, then each e-mail at the price of its place in the month."""
    sum_, included, place = Decimal(0), 0, 0
    covered = sum(end - start + 1 for _, start, end, _ in parts)
    for plan, start, end, _ in parts:
        fee = Fraction(plan.fixed_fee.amount)
        sum_ += half_up(fee * end / period_days) - half_up(fee * (start - 1) / period_days)
        volume = Fraction(plan.included)
        included += int(half_up(volume * end / period_days, 0) - half_up(volume * (start - 1) / period_days, 0))
    for plan, _, _, emails in parts:
        thresholds = [included] + [
            max(included, int(half_up(Fraction(tier.above * covered, period_days), 0))) for tier in plan.tiers[1:]
        ]
        counts = [0] * len(plan.tiers)
        for n in range(place, place + emails):  # the n-th e-mail, from 0
            if passed := [tier for tier, above in enumerate(thresholds) if n >= above]:
                counts[passed[-1]] += 1
        place += emails
        sum_ += sum(
            (half_up(count * Fraction(tier.price.amount)) for count, tier in zip(counts, plan.tiers, strict=True)),
            Decimal(0),
        )
    return sum_


small_plans = st.builds(
    lambda fee, included, first, more, proration: make_plan(
        fee=str(fee),
        included=included,
        tiers=[(included, str(first)), *((included + step, str(one)) for step, one in sorted(more.items()))],
        proration=proration,
    ),
    st.decimals(0, 2000, places=2),
    st.integers(0, 300),
    st.decimals(0, 1, places=4),
    st.dictionaries(st.integers(1, 300), st.decimals(0, 1, places=5), max_size=2),
    st.sampled_from(Proration),
)


@st.composite
def cut_months(draw: st.DrawFn) -> list[tuple[PricePlan, int, int, int]]:
    cuts = sorted(draw(st.sets(st.integers(1, 30), max_size=4)) | {31})
    first = draw(st.integers(1, cuts[0]))
    parts = []
    for start, end in zip([first, *(cut + 1 for cut in cuts)], cuts, strict=False):
        parts.append((draw(small_plans), start, end, draw(st.integers(0, 400))))
    return parts


def stretches(parts: Sequence[tuple[PricePlan, int, int, int]]) -> list[Stretch]:
    return [Stretch(plan, date(2024, 5, start), date(2024, 5, end), emails) for plan, start, end, emails in parts]


@settings(max_examples=60)
@given(cut_months())
def test_every_month_comes_to_what_a_ledger_that_counts_each_email_says(
    parts: list[tuple[PricePlan, int, int, int]],
) -> None:
    priced = price_month(MAY, stretches(parts))
    assert priced.net.amount == by_hand(31, parts)
    assert priced.net == total((line.net for line in priced.lines), "SEK")
    assert priced.total == priced.net + priced.vat
    assert all(line.net == line.net.rounded() == (line.unit_price * line.quantity).rounded() for line in priced.lines)
    assert sum(line.quantity.number for line in priced.lines if line.kind is LineKind.EMAILS) == max(
        0, priced.emails - priced.included
    )


@settings(max_examples=60)
@given(small_plans, st.lists(st.integers(0, 200), min_size=31, max_size=31), st.sets(st.integers(2, 31), max_size=5))
def test_cutting_a_month_in_pieces_changes_nothing_but_the_rounding_of_lines(
    plan: PricePlan, emails: list[int], cuts: set[int]
) -> None:
    whole = price_month(MAY, [Stretch(plan, date(2024, 5, 1), date(2024, 5, 31), sum(emails))])
    days = [1, *sorted(cuts), 32]
    pieces = price_month(
        MAY,
        [
            Stretch(plan, date(2024, 5, start), date(2024, 5, end - 1), sum(emails[start - 1 : end - 1]))
            for start, end in pairwise(days)
        ],
    )
    assert (pieces.emails, pieces.included) == (whole.emails, whole.included)

    def fees(priced: Priced) -> Money:
        return total((line.net for line in priced.lines if line.kind is LineKind.FIXED), "SEK")

    assert fees(pieces) == fees(whole)  # parts of a fee always make the whole
    more_lines = len(pieces.lines) + len(whole.lines)
    assert abs(pieces.net.amount - whole.net.amount) <= Decimal("0.005") * more_lines


@given(small_plans, st.integers(0, 2000), st.integers(0, 500))
def test_more_emails_never_cost_less(plan: PricePlan, emails: int, more: int) -> None:
    assert price(plan, emails).net <= price(plan, emails + more).net


@given(st.integers(0, 10**9), st.decimals(0, 100, places=12))
def test_a_line_is_rounded_once_whatever_the_price_and_the_number(emails: int, each: Decimal) -> None:
    priced = price(replace(make_plan(included=0, price=f"{each:f}"), fixed_fee=Money.zero("SEK")), emails)
    exact = Decimal(emails) * each
    assert abs(priced.net.amount - exact) <= Decimal("0.005")
    assert priced.net.amount == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
