"""The document against the door: schemathesis makes calls from the one and checks what the other answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from ombud.domains.shares import share
from ombud.web import who
from tests.web.conftest import House, proof_that_was_read

load_all_checks()
#: The document cannot say what an address is, or which domain is whose: what is valid by it may still be refused.
NOT_SAID = {"positive_data_acceptance"}
OPERATIONS = [
    ("POST", "/v1/messages"), ("POST", "/v1/messages/batch"), ("GET", "/v1/messages"), ("GET", "/v1/messages/{id}"),
    ("GET", "/v1/messages/{id}/timeline"), ("POST", "/v1/messages/{id}/cancel"),
    ("GET", "/v1/shares/{token}"), ("POST", "/v1/shares/{token}/done"), ("POST", "/v1/shares/{token}/cannot"),
    ("GET", "/v1/proofs/{id}"),
]  # fmt: skip


@pytest.fixture
def database_url(one_url: str) -> str:
    return one_url


@pytest.fixture
def open_house(built: Callable[..., House]) -> Iterator[House]:
    made = built()
    made.web.group.start()
    yield made
    made.web.group.stop()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_door_answers_as_its_document_says(
    open_house: House, method: str, path: str, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(who, "FREE_FAILURES", 10**6)  # it tries wrong keys, too, and waits for none
    document = schemathesis.openapi.from_asgi("/v1/openapi.json", open_house.app)
    headers = {"Authorization": f"Bearer {open_house.keys['eken']}"}
    opened = _what_links_open(open_house) if mode is GenerationMode.POSITIVE else {}
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_SAID]

    @given(document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def holds(case: Any) -> None:
        case.path_parameters.update(opened.get(path, {}))
        case.call_and_validate(headers=headers, checks=checks)

    holds()


def _what_links_open(house: House) -> dict[str, dict[str, str]]:
    """A link to a domain's page and a proof that was read: nobody finds them by trying."""
    with house.web.database.write() as tx:
        token = share(tx, house.web.seal, "eken.example", "anna", house.web.clock.now())
        return {path: {"token": token} for _, path in OPERATIONS if "{token}" in path} | {
            "/v1/proofs/{id}": {"id": proof_that_was_read(tx)}
        }


async def test_every_operation_of_the_document_is_tried(open_house: House) -> None:
    document = (await open_house.call("", "GET", "/v1/openapi.json")).json()
    assert {(method.upper(), path) for path, methods in document["paths"].items() for method in methods} == set(
        OPERATIONS
    )
