from __future__ import annotations

import pytest

from ombud.smtp.throttle import Throttle, peer_group


def test_each_failure_costs_twice_the_last_up_to_half_a_minute() -> None:
    throttle = Throttle()
    assert [throttle.failed("a", now) for now in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [throttle.failed("a", 10) for _ in range(2000)][-1] == 30


def test_another_peer_pays_only_for_its_own() -> None:
    throttle = Throttle()
    throttle.failed("a", 0)
    assert throttle.failed("b", 0) == 0.5


def test_a_quiet_quarter_of_an_hour_is_forgiven() -> None:
    throttle = Throttle()
    throttle.failed("a", 0)
    assert throttle.failed("a", 900) == 1
    assert throttle.failed("a", 1801) == 0.5


def test_the_table_is_bounded_and_forgets_the_quietest() -> None:
    throttle = Throttle()
    for n in range(10_001):
        throttle.failed(str(n), 0)
        throttle.failed("loud", 0)
    assert throttle.failed("0", 0) == 0.5
    assert throttle.failed("9999", 0) == 1
    assert throttle.failed("loud", 0) == 30


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_subscriber_is_one_peer(host: str, group: str) -> None:
    assert peer_group(host) == group
