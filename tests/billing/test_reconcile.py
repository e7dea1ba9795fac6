"""Ours against the provider's count: by day, and to the message with the reason where they differ."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from ombud import usage
from ombud.billing.close import lock, preview
from ombud.billing.reconcile import (
    Event,
    Why,
    billed_against,
    compare,
    counts_of,
    differing,
    provider_counts,
    read_counts,
    read_events,
    reasons_of,
    take_in,
)
from ombud.errors import BadCount
from ombud.queue import NewMessage, NewRecipient, State, Stream, put
from ombud.queue.tables import recipient_table
from ombud.usage import HandOver
from tests.billing.conftest import JUNE_3, Shop
from tests.conftest import NOON

MAY_7, MAY_8 = date(2024, 5, 7), date(2024, 5, 8)


def find(name: str) -> int | None:
    return {"eken": 1, "eken.example": 1, "linden": 2}.get(name)


def mail(shop: Shop, id: str, *, at: datetime = NOON, mode: str = "live", state: State = State.DELIVERED) -> None:
    """One message of Eken's; counted when it was delivered, and was no test."""
    message = NewMessage(
        id=id, customer_id=shop.eken.id, product_id=shop.product, credential_id=1, mode=mode, door="http", peer="",
        stream=Stream.BULK, mail_from="", header_from="a@eken.example", message_id=f"{id}@ombud.example", subject="", content=b"x",
        created_at=at, recipients=[NewRecipient("anna@post.example", State.WAITING, "customer_route", shop.route)],
    )  # fmt: skip
    with shop.database.write() as tx:
        put(tx, [message])
        recipient = tx.execute(select(recipient_table.c.id).where(recipient_table.c.message_id == id)).scalar_one()
        tx.execute(text("UPDATE recipient SET state = :s WHERE id = :id"), {"s": state, "id": recipient})
        if state is State.DELIVERED:
            usage.meter(tx, [HandOver(recipient, shop.eken.id, shop.product, shop.route, mode == "live", at)])


def event(id: str, *, at: datetime = NOON, what: str = "accepted", address: str = "anna@post.example") -> Event:
    return Event(at, 1, f"{id}@ombud.example", address, what)


def reasons(shop: Shop, *events: Event) -> dict[str, Why]:
    with shop.database.read() as tx:
        found = differing(tx, "2024-05", shop.route, events)
    assert len({(one.side, one.message) for one in found}) == len(found)
    return {f"{one.side} {one.message.partition('@')[0]}": one.why for one in found}


def test_each_recipient_that_only_one_side_has_comes_with_its_reason(shop: Shop) -> None:
    late = datetime(2024, 5, 7, 21, 59, tzinfo=UTC)  # a minute to midnight in Stockholm
    mail(shop, "same")
    mail(shop, "suppressed")
    mail(shop, "missing")
    mail(shop, "midnight", at=late)
    mail(shop, "twice")
    mail(shop, "test", mode="test")
    mail(shop, "unknown", state=State.UNKNOWN)
    assert reasons(
        shop,
        event("same"),
        event("suppressed"),
        event("suppressed", what="suppressed"),
        event("midnight", at=late + timedelta(minutes=2)),
        event("twice"),
        event("twice", at=NOON + timedelta(hours=1)),
        event("test"),
        event("unknown"),
        event("stranger"),
        event("same", what="delivered"),
    ) == {
        "ours suppressed": Why.THEIR_SUPPRESSED,
        "ours missing": Why.MISSING_THERE,
        "ours midnight": Why.OTHER_DAY,
        "theirs midnight": Why.OTHER_DAY,
        "theirs twice": Why.SECOND_COPY,
        "theirs test": Why.OUR_TEST,
        "theirs unknown": Why.NOT_SETTLED,
        "theirs stranger": Why.NOT_THROUGH_US,
    }


def test_known_reasons_explain_a_difference_and_others_do_not(shop: Shop) -> None:
    mail(shop, "suppressed")
    events = [event("suppressed"), event("suppressed", what="suppressed")]

    def explained(log: list[Event]) -> list[tuple[int, int, bool]]:
        with shop.database.write() as tx:
            take_in(tx, shop.route, counts_of(log), NOON)
            why = reasons_of(differing(tx, "2024-05", shop.route, log))
            return [(one.ours, one.theirs, one.explained) for one in compare(tx, "2024-05", why)]

    assert explained(events) == [(1, 0, True)]
    assert explained([*events, event("stranger")]) == [(1, 1, False)]  # the same number is not enough


def test_counts_alone_show_the_days_that_differ(shop: Shop) -> None:
    shop.sent(shop.eken, MAY_7, 100)
    shop.sent(shop.eken, MAY_8, 50)
    shop.sent(shop.eken, MAY_8, 50, route=99)  # by another provider
    with shop.database.write() as tx:
        assert provider_counts(tx, "2024-05") is None
        take_in(
            tx, shop.route, {(MAY_7, shop.eken.id): 100, (MAY_8, shop.eken.id): 49, (MAY_8, shop.linden.id): 1}, NOON
        )
        found = {(one.customer_id, one.day): (one.ours, one.theirs, one.explained) for one in compare(tx, "2024-05")}
        assert provider_counts(tx, "2024-05") == ({shop.eken.id: 150}, {shop.eken.id: 149, shop.linden.id: 1})
    assert found == {
        (shop.eken.id, MAY_7): (100, 100, True), (shop.eken.id, MAY_8): (50, 49, False), (shop.linden.id, MAY_8): (0, 1, False)
    }  # fmt: skip


def test_what_a_provider_says_of_a_day_replaces_what_it_said_before(shop: Shop) -> None:
    with shop.database.write() as tx:
        take_in(tx, shop.route, {(MAY_7, 1): 5, (MAY_8, 1): 6}, NOON)
        take_in(tx, shop.route, {(MAY_7, 2): 7}, NOON)
        assert provider_counts(tx, "2024-05") == ({}, {1: 6, 2: 7})


def test_the_preview_shows_the_difference(shop: Shop) -> None:
    shop.live(shop.eken, date(2024, 5, 1))
    shop.sent(shop.eken, MAY_7, 100)
    shop.sent(shop.linden, MAY_7, 5)
    with shop.database.write() as tx:
        take_in(tx, shop.route, {(MAY_7, shop.eken.id): 98, (MAY_7, shop.linden.id): 5}, NOON)
    summary = preview(shop.database, "2024-05", JUNE_3, "eva").summary
    assert summary["provider"] == {
        "ours": 105,
        "theirs": 103,
        "differs": [{"customer": "eken", "ours": 100, "theirs": 98}],
    }


def test_what_came_after_the_lock_differs_from_what_was_invoiced(shop: Shop) -> None:
    shop.live(shop.eken, date(2024, 5, 1))
    shop.sent(shop.eken, MAY_7, 100)
    preview(shop.database, "2024-05", JUNE_3, "eva")
    lock(shop.database, "2024-05", JUNE_3, "eva")
    shop.sent(shop.eken, MAY_8, 2)
    with shop.database.read() as tx:
        assert billed_against(tx, "2024-05") == {shop.eken.id: (102, 100)}


# --- their files ---------------------------------------------------------------------------------------------------


def test_counts_are_read_with_either_delimiter_and_a_customer_by_slug_or_domain() -> None:
    for text_ in (
        "day,customer,number\n2024-05-07,eken,3\n2024-05-07,eken.example,4\n",
        "\ufeffcustomer;day;number\neken;2024-05-07;7\n",
    ):
        assert read_counts("x.csv", text_, find) == {(MAY_7, 1): 7}


def test_events_are_read_with_their_moments_in_any_zone() -> None:
    log = read_events(
        "x.csv",
        "at,customer,message_id,recipient,event\n2024-05-07T23:30:00Z,eken,<a@b>,Anna@Post.example,Accepted\n"
        "2024-05-07T12:00:00,eken,<c@d>,x@y.example,suppressed\n",
        find,
    )
    assert log[0] == Event(datetime(2024, 5, 7, 23, 30, tzinfo=UTC), 1, "a@b", "anna@post.example", "accepted")
    assert log[1].at == datetime(2024, 5, 7, 10, tzinfo=UTC)
    assert counts_of(log) == {(MAY_8, 1): 1, (MAY_7, 1): -1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("day,number\n2024-05-07,1\n", "line 1: the columns customer are missing"),
        ("day,customer,number\n7 maj,eken,1\n", "line 2: '7 maj' is not a day"),
        ("day,customer,number\n2024-05-07,eken,1\n2024-05-07,eken,1.5\n", "line 3: '1.5' is not a whole number"),
        ("day,customer,number\n2024-05-07,eken,-1\n", "'-1' is not a whole number"),
        ("day,customer,number\n2024-05-07,okänd,1\n", "no customer or domain okänd"),
        ("day,customer,number\n2024-05-07,eken\n", "line 2: it has another number of columns"),
        ("day,customer,number\n2024-05-07,eken,1,2\n", "line 2: it has another number of columns"),
        ('day,customer,number\n"2024-05-07,eken,1\n', "unexpected end of data"),
        ("", "line 0: the columns"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(content: str, words: str) -> None:
    with pytest.raises(BadCount, match=words):
        read_counts("x.csv", content, find)
