"""Days are asked for in groups that a query can hold."""

from __future__ import annotations

from datetime import date, timedelta

from otel_usage.copying.census import EventCount, day_groups

_DAYS = [date(2026, 3, 1) + timedelta(days=number) for number in range(6)]


def test_days_of_few_events_are_asked_for_together_and_a_large_one_alone() -> None:
    events = {(day, "shop"): EventCount(10, 0) for day in _DAYS}
    events[_DAYS[2], "blog"] = EventCount(5_000_000, 0)

    assert day_groups(reversed(_DAYS), events) == [_DAYS[:2], [_DAYS[2]], _DAYS[3:]]


def test_days_whose_events_are_gone_are_not_taken_for_small_ones() -> None:
    days = [_DAYS[0] + timedelta(days=number) for number in range(20)]

    assert [len(group) for group in day_groups(days, {})] == [8, 8, 4]
