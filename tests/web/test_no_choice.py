"""After the stop the API says no with the link where the choice is made, in both languages; and held mail shows why."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ombud.choices import AfterStop, Campaign, put_campaign
from tests.conftest import NOON
from tests.web.conftest import House


@pytest.fixture
def database_url(one_url: str) -> str:
    return one_url


def _campaign(house: House, **more: Any) -> None:
    """One that stopped on the day before."""
    web, route = house.web, house.web.facts.value.route("ut")
    assert route
    wanted = Campaign(
        id=0, slug="epost-2024", version=0, name={"sv": "E-post", "en": "E-mail"},
        products={web.directory.value.product("hyra").id: route.id}, alternatives=(), start_date=date(2024, 1, 8),
        risk_date=date(2024, 2, 1), stop_date=date(2024, 5, 6), last_extension_date=date(2024, 8, 31), **more,
    )  # fmt: skip
    with web.database.write() as tx:
        put_campaign(tx, wanted, {}, NOON)
    web.facts.refresh(web.database)


async def test_the_problem_has_the_link_where_the_choice_is_made(house: House) -> None:
    _campaign(house)
    house.web.submissions.public_url = "https://epost.example"
    answer = await house.send()
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (409, "no_active_choice", False)
    action = problem["customer_action"]
    assert action["url"] == "https://epost.example/choose/epost-2024/eken"
    assert "sista dagen var 2024-05-06. Välj, eller se vad som saknas, här: https://epost.example/" in action["text_sv"]
    assert "the last day was 2024-05-06" in action["text_en"]
    assert house.web.submissions.refused == {"no_active_choice": 1}


async def test_mail_that_the_policy_holds_is_accepted_and_shows_its_reason(house: House) -> None:
    _campaign(house, after_stop=AfterStop.HOLD, hold_days=14)
    answer = await house.send(to=["a@gmail.com"])
    assert answer.status_code == 202
    shown = (await house.call("eken", "GET", f"/v1/messages/{answer.json()['id']}")).json()
    (recipient,) = shown["recipients"]
    assert (recipient["state"], recipient["reason"], recipient["warning"]) == ("held", "no_active_choice", None)
