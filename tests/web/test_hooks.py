"""The service centre tells us of its cases: signed, fresh, and done once however often it is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ombud.campaigns.cases import CaseState, comments_of, find_case, put_case
from ombud.choices import Page, put_campaign
from ombud.ids import new_id
from ombud.notices.webhooks import new_webhook_secret, put_webhook, sign
from ombud.seal import Seal
from ombud.settings import Settings
from tests.campaigns.values import campaign
from tests.conftest import NOON, Cast
from tests.web.conftest import House, on_sqlite

SECRET = new_webhook_secret()
PATH = "/v1/hooks/cases"


@pytest.fixture
async def told(built: Callable[..., House], cast: Cast) -> AsyncIterator[House]:
    """Eken has a case, and the service centre a webhook's secret."""
    house = built(Settings(service={"name": "ombud.example"}, service_centre={"webhook": "centre"}))
    with house.web.database.write() as tx:
        texts = {(page, language): "" for page in Page for language in ("sv", "en")}
        made = put_campaign(tx, campaign(products={}), texts, NOON)
        put_case(tx, made.id, cast.eken.id, "molntjanst-2024/eken", "mailgun", "Val: Mailgun.", "Karin", NOON)
        put_webhook(tx, Seal(b"m" * 32), "centre", "https://servicecenter.example/hook", SECRET, NOON)
    house.web.group.start()
    yield house
    house.web.group.stop()


def signed(body: bytes, *, id: str = "", at: datetime | None = None, secret: str = SECRET) -> dict[str, str]:
    id, timestamp = id or f"msg_{new_id()}", int((at or datetime.now(UTC)).timestamp())
    return {
        "content-type": "application/json", "webhook-id": id, "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, id, timestamp, body),
    }  # fmt: skip


async def tell(house: House, said: dict[str, Any], **how: Any) -> Any:
    body = json.dumps(said).encode()
    return await house.call("", "POST", PATH, content=body, headers=signed(body, **how))


SAID = {"case": "molntjanst-2024/eken", "number": "SC-10442", "state": "closed", "comment": "Tack!", "by": "Bo"}


async def test_a_number_that_comes_back_is_attached_to_its_case(told: House) -> None:
    answer = await tell(told, SAID)
    assert answer.status_code == 200
    assert answer.json() == {
        "reference": "molntjanst-2024/eken",
        "number": "SC-10442",
        "state": "closed",
        "repeated": False,
    }
    with told.web.database.read() as tx:
        case = find_case(tx, "SC-10442")
        assert case.state is CaseState.CLOSED
        assert ("Bo", "Tack!") in [(one.by, one.text) for one in comments_of(tx, case.id)]


async def test_what_is_replayed_is_answered_and_not_done_again(told: House) -> None:
    await tell(told, SAID, id="msg_1")
    again = await tell(told, {**SAID, "state": "open", "comment": "igen"}, id="msg_1")
    assert again.status_code == 200 and again.json()["repeated"] is True and again.json()["state"] == "closed"
    with told.web.database.read() as tx:
        texts = [one.text for one in comments_of(tx, find_case(tx, "SC-10442").id)]
    assert "igen" not in texts and texts.count("Tack!") == 1


@on_sqlite
@pytest.mark.parametrize("how", [{"secret": new_webhook_secret()}, {"at": datetime.now(UTC) - timedelta(minutes=6)}])
async def test_a_wrong_or_old_signature_changes_nothing(told: House, how: dict[str, Any]) -> None:
    answer = await tell(told, SAID, **how)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_hook_signature")
    with told.web.database.read() as tx:
        assert find_case(tx, "molntjanst-2024/eken").number == ""


@on_sqlite
async def test_a_body_that_was_changed_on_the_way_is_refused(told: House) -> None:
    headers = signed(json.dumps(SAID).encode())
    body = json.dumps({**SAID, "number": "SC-1"}).encode()
    answer = await told.call("", "POST", PATH, content=body, headers=headers)
    assert answer.json()["code"] == "bad_hook_signature"


@on_sqlite
@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"case": "molntjanst-2024/linden", "number": "SC-1"}, 404, "not_found"),
        ({"number": "SC-1"}, 422, "bad_field"),
        ({**SAID, "state": "kanske"}, 422, "bad_field"),
        ({**SAID, "colour": "red"}, 422, "bad_field"),
        ({**SAID, "number": "x" * 101}, 422, "bad_field"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    told: House, said: dict[str, Any], status: int, code: str
) -> None:
    answer = await tell(told, said)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@on_sqlite
async def test_without_a_service_centre_there_is_no_hook(house: House) -> None:
    answer = await tell(house, SAID)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
