from __future__ import annotations

import pytest

from otel_usage.client_api.rate_limit import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def allowed(limiter: RateLimiter, address: str, calls: int) -> int:
    return sum(not limiter.seconds_to_wait(address) for _ in range(calls))


def test_a_minutes_worth_of_calls_may_come_at_once_and_no_more() -> None:
    assert allowed(RateLimiter(60, clock=Clock()), "192.0.2.1", 100) == 60


def test_who_waits_as_long_as_told_may_call_again() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock=clock)
    allowed(limiter, "192.0.2.1", 60)

    wait = limiter.seconds_to_wait("192.0.2.1")
    clock.seconds += wait

    assert wait == pytest.approx(1.0)
    assert allowed(limiter, "192.0.2.1", 2) == 1


def test_a_minute_fills_the_bucket_and_an_hour_does_no_more() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock=clock)
    allowed(limiter, "192.0.2.1", 60)

    clock.seconds += 3600

    assert allowed(limiter, "192.0.2.1", 100) == 60


def test_each_address_has_a_bucket_of_its_own() -> None:
    limiter = RateLimiter(2, clock=Clock())
    allowed(limiter, "192.0.2.1", 2)

    assert allowed(limiter, "192.0.2.2", 3) == 2


def test_the_addresses_of_one_ipv6_network_share_a_bucket() -> None:
    limiter = RateLimiter(2, clock=Clock())

    assert allowed(limiter, "2001:db8::1", 1) == 1
    assert allowed(limiter, "2001:db8::ffff", 3) == 1
    assert allowed(limiter, "2001:db8:0:1::1", 1) == 1


def test_of_too_many_addresses_the_oldest_is_forgotten() -> None:
    limiter = RateLimiter(1, max_addresses=3, clock=Clock())
    for number in range(4):
        limiter.seconds_to_wait(f"192.0.2.{number}")

    assert len(limiter._buckets) == 3
    assert allowed(limiter, "192.0.2.3", 1) == 0
    assert allowed(limiter, "192.0.2.0", 1) == 1


def test_zero_is_no_limit_and_an_unknown_address_has_none() -> None:
    assert allowed(RateLimiter(0, clock=Clock()), "192.0.2.1", 1000) == 1000
    assert allowed(RateLimiter(1, clock=Clock()), "", 10) == 10
