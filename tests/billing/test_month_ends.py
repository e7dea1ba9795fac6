"""Month ends, in every zone and over every change of the clocks: what is metered is billed in the month of Stockholm, to the öre.

The ledger that it is held against knows no zone database: it works the offset out from the EU's rule (directive 2000/84/EC), and
counts with whole milliöre.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ombud import usage
from ombud.billing.close import lock, preview
from ombud.billing.ledger import bases_of
from ombud.billing.planbook import put_plan
from ombud.queue import NewMessage, NewRecipient, State, Stream, put
from ombud.queue.tables import recipient_table
from ombud.usage import HandOver
from tests.billing.conftest import SQLITE, Shop, make_plan
from tests.conftest import NOON

#: Where the clock of whoever hands over may be set: the moment is the same, however it is written.
ZONES = ("UTC", "Europe/Stockholm", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago")
MONTHS = [(2023 + n // 12, n % 12 + 1) for n in range(24)]
OFFSETS = (
    timedelta(microseconds=-1),
    timedelta(0),
    timedelta(hours=-2),
    timedelta(hours=2),
    timedelta(hours=-1),
    timedelta(hours=1),
)


def last_sunday(year: int, month: int) -> date:
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() + 1) % 7)


def swedish(moment: datetime) -> datetime:
    """Summer time from 01.00 UTC on the last Sunday of March to 01.00 UTC on the last Sunday of October."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    begins, ends = (
        datetime.combine(last_sunday(utc.year, month), datetime.min.time()) + timedelta(hours=1) for month in (3, 10)
    )
    return utc + timedelta(hours=2 if begins <= utc < ends else 1)


def moments() -> Iterator[datetime]:
    """Around the end of each month in each zone, and around each change of the clocks in Stockholm."""
    for year, month in MONTHS:
        after = datetime(year + month // 12, month % 12 + 1, 1)
        for zone in ZONES:
            for offset in OFFSETS:
                yield after.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)) + offset
    for year in (2023, 2024):
        for month in (3, 10):
            change = datetime.combine(last_sunday(year, month), datetime.min.time(), UTC) + timedelta(hours=1)
            yield from (change + offset for offset in OFFSETS)


@SQLITE
def test_24_month_ends_in_six_zones_come_to_what_an_independent_ledger_says(shop: Shop) -> None:
    with shop.database.write() as tx:
        put_plan(
            tx,
            [make_plan(included=20, price="0.012", valid_from=date(2022, 1, 1), slug="small")],
            [],
            NOON,
            date(2021, 1, 1),
        )
    shop_live(shop)
    handed_over = [moment for moment in moments() for _ in range(3)]
    expected: Counter[str] = Counter(f"{swedish(moment):%Y-%m}" for moment in handed_over)
    hand_over(shop, handed_over)
    billed, sums = {}, {}
    for period in sorted(expected):
        now = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=14)))
        preview(shop.database, period, now, "eva")
        lock(shop.database, period, now, "eva")
        with shop.database.read() as tx:
            (kept,) = bases_of(tx, period)
        billed[period], sums[period] = kept.basis.emails, kept.basis.total.minor
    assert billed == expected
    assert sums == {period: ledger(number) for period, number in expected.items()}
    assert sum(expected.values()) == len(handed_over) == (24 * 6 * 6 + 4 * 6) * 3


def ledger(emails: int) -> int:
    """In öre with VAT: 500 kr with 20 e-mails included, 1.2 öre each for the others, rounded half up once; VAT on the sum."""
    milliore = 1_200 * max(0, emails - 20)
    net = 50_000 + (milliore + 500) // 1_000
    return net + (net * 25 + 50) // 100


def shop_live(shop: Shop) -> None:
    from ombud.billing import subscriptions

    with shop.database.write() as tx:
        subscriptions.start(tx, shop.eken.id, "small", date(2023, 1, 1), NOON, by="eva")


def hand_over(shop: Shop, moments: list[datetime]) -> None:
    """One message with a recipient for each moment."""
    message = NewMessage(
        id="m", customer_id=shop.eken.id, product_id=shop.product, credential_id=1, mode="live", door="http", peer="",
        stream=Stream.BULK, mail_from="", header_from="a@eken.example", message_id="m", subject="", content=b"x", created_at=NOON,
        recipients=[NewRecipient(f"{n}@post.example", State.WAITING, "choice_live", shop.route) for n in range(len(moments))],
    )  # fmt: skip
    with shop.database.write() as tx:
        put(tx, [message])
        ids = tx.execute(select(recipient_table.c.id).order_by(recipient_table.c.id)).scalars().all()
        usage.meter(
            tx,
            [
                HandOver(id, shop.eken.id, shop.product, shop.route, True, at)
                for id, at in zip(ids, moments, strict=True)
            ],
        )
