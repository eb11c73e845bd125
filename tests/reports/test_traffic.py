"""The reports over time and their buckets: traffic, and what of it failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, insert_events
from tests.reports.test_reports import ALWAYS, ask


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=timezone.utc)


def test_traffic_counts_each_bucket_and_service(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:00:00", is_new=True, visitor="ann"),
            build_event(at="2026-03-10T12:59:59.999999999", visitor="ann", status_code=404, bytes_sent=100),
            build_event(at="2026-03-10T12:30:00", visitor="bob", is_bot=True, status_code=503),
            build_event(at="2026-03-10T13:00:00"),
            build_event(at="2026-03-10T12:00:00", service="blog"),
            build_event("activity", at="2026-03-10T12:10:00", is_new=True, visitor="cid"),
            build_event("response_sent", at="2026-03-10T12:20:00", bytes_sent=50, visitor="dan"),
        ],
    )

    rows = ask(usage, "traffic")

    counted = ("time", "service_name", "requests", "bot_requests", "visits", "visitors", "client_errors", "errors", "transfer")  # fmt: skip
    assert [tuple(row[name] for name in counted) for row in rows] == [
        (at(10, 12), "blog", 1, 0, 0, 0, 0, 0, 0),
        (at(10, 12), "shop", 3, 1, 2, 3, 1, 1, 150),
        (at(10, 13), "shop", 1, 0, 0, 0, 0, 0, 0),
    ]


def test_durations_are_those_of_requests_alone(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(duration_ns=10_000_000), build_event("activity", duration_ns=1)])

    (row,) = ask(usage, "traffic")

    assert (row["duration_p50_ms"], row["duration_p95_ms"]) == pytest.approx((10, 10), rel=0.01)


def test_a_bucket_without_requests_has_no_duration(usage: ClickHouse) -> None:
    insert_events(usage, [build_event("activity")])

    (row,) = ask(usage, "traffic")

    assert (row["requests"], row["duration_p50_ms"], row["duration_p95_ms"]) == (0, None, None)


@pytest.mark.parametrize("seconds", [1, 7, 60, 1800, 3600, 86_400])
def test_a_bucket_begins_with_its_multiple_in_utc(usage: ClickHouse, seconds: int) -> None:
    insert_events(usage, [build_event(at="2026-03-10T12:34:05")])
    moment = at(10, 12, 34).timestamp() + 5

    (row,) = ask(usage, "traffic", replace(ALWAYS, bucket_seconds=seconds))

    assert row["time"].timestamp() == moment // seconds * seconds


def test_the_requests_of_all_buckets_are_those_of_the_browsers(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at=f"2026-03-10T{hour:02}:59:59") for hour in range(24)])

    (browser,) = ask(usage, "browsers")

    assert sum(row["requests"] for row in ask(usage, "traffic")) == browser["requests"] == 24


def test_failures_are_named_by_route_with_the_trace_of_the_latest(usage: ClickHouse) -> None:
    early, late = (
        build_event(
            at=f"2026-03-10T12:00:0{n}", route="/pay", status_code=500, visit=f"v{n}", duration_ns=n * 10**9
        )
        for n in (1, 2)
    )
    other = build_event(route="", path="/x", status_code=502)
    insert_events(usage, [late, early, other, build_event(status_code=404), build_event()])

    rows = [tuple(row.values()) for row in ask(usage, "failures")]

    assert rows == [
        ("shop", "/pay", 500, 2, 2, "2026-03-10T12:00:02.000000000Z", 2000.0, late.trace_id.hex()),
        ("shop", "/x", 502, 1, 0, "2026-03-10T12:00:00.000000000Z", 1.0, other.trace_id.hex()),
    ]
