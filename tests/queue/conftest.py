"""Mail to put in the queue, and a route for it to take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ombud.accounts import Customer, load_directory, put_customer, put_product
from ombud.db import Database, Transaction
from ombud.ids import new_id
from ombud.queue import NewMessage, NewRecipient, State, Stream, put
from ombud.routing import load_facts, put_route
from ombud.seal import Seal
from tests.conftest import NOON, Cast

MakeMail = Callable[..., str]


@pytest.fixture
def route_id(database: Database, cast: Cast) -> int:
    with database.write() as tx:
        return put_relay(tx)


def put_relay(tx: Transaction) -> int:
    """A route to nobody; its id."""
    put_route(tx, Seal(b"k" * 32), "relay", "smtp", {"host": "relay.example"}, None, NOON)
    found = load_facts(tx).route("relay")
    assert found
    return found.id


def put_stage(tx: Transaction) -> tuple[int, int, int]:
    """What one message needs, where there is no cast: the ids of a customer, a product and a route."""
    put_customer(tx, "eken", "Eken", NOON)
    put_product(tx, "hyra", "Hyra", NOON)
    directory = load_directory(tx)
    return directory.customer("eken").id, directory.product("hyra").id, put_relay(tx)


@pytest.fixture
def put_mail(database: Database, cast: Cast, route_id: int) -> MakeMail:
    """Put one message in; its id. Keywords: to, stream, and whatever NewMessage has."""

    def put_one(
        customer: Customer = cast.eken, to: tuple[str, ...] = ("anna@post.example",), stream: Stream = Stream.TRANSACTIONAL,
        state: State = State.WAITING, **values: Any,
    ) -> str:  # fmt: skip
        made = new_message(customer.id, cast.hyra.id, route_id, to, state, stream=stream, **values)
        with database.write() as tx:
            put(tx, [made])
        return made.id

    return put_one


def new_message(
    customer_id: int, product_id: int, route_id: int, to: tuple[str, ...] = ("anna@post.example",),
    state: State = State.WAITING, **values: Any,
) -> NewMessage:  # fmt: skip
    id = new_id()
    return NewMessage(
        id=id, customer_id=customer_id, product_id=product_id, credential_id=1, mode="live", door="http", peer="",
        mail_from="hyra@eken.example", header_from="hyra@eken.example", message_id=f"{id}@ombud.example", subject="Avi",
        content=b"From: hyra@eken.example\r\n\r\nHej\r\n", created_at=NOON,
        recipients=[NewRecipient(address, state, "customer_route", route_id) for address in to],
        **{"expire_after": timedelta(days=5), "stream": Stream.TRANSACTIONAL, **values},
    )  # fmt: skip
