"""One customer's large run through a slow way out does not keep another customer's single mail waiting."""

from __future__ import annotations

from tests.flows.conftest import Serve
from tests.flows.house import EKEN, until

RUN, PART = 5000, 1000
LINDEN = "hyra@linden.example"
#: What may leave before it: what was in hand when it came, and a few turns. Of 5 000.
BEFORE_IT = 200


def test_a_single_mail_overtakes_another_customers_run(serve: Serve) -> None:
    house = serve().house
    house.hop.seconds = 0.02  # with its four connections the run would take most of a minute
    for part in range(RUN // PART):
        recipients = [{"to": f"r{part * PART + n}@post.example"} for n in range(PART)]
        batch = {"from": EKEN, "subject": "Hyresavi", "text": "Hej!", "recipients": recipients}
        assert house.call("POST", "/v1/messages/batch", json=batch).status == 202
    until(lambda: len(house.hop.copies) > 50)
    for n in range(3):
        address = f"single-{n}@post.example"
        before = len(house.hop.copies)
        assert (
            house.submit(address, who="linden", sender=LINDEN)[0]
            if n % 2
            else house.post("linden", **{"from": LINDEN, "to": [address]}).status
        ) in (250, 202)
        until(lambda address=address: address in house.hop.taken, 20)  # type: ignore[misc]  # the address as it is now
        assert len(house.hop.copies) - before < BEFORE_IT
    assert len(house.hop.copies) < RUN / 2  # the run was still under way
