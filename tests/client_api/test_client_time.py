from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from otel_usage.client_api.client_time import compare_clocks, parse_client_time
from tests.builders import nanoseconds

NOON = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-10T12:00:00Z", NOON),
        ("2026-03-10T12:00:00.000Z", NOON),
        ("2026-03-10T12:00", NOON),
        ("2026-03-10 12:00:00", NOON),
        ("2026-03-10T13:30:00+01:30", NOON),
        ("2026-03-10T10:00:00-0200", NOON),
        ("2026-03-10T14:00:00+02", NOON),
        ("2026-3-10T12:00:00Z", NOON),
        ("2026-03-10T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-03-10T12:00:00,123456789Z", NOON + timedelta(microseconds=123456)),
        (" 2026-03-10T12:00:00Z ", NOON),
        ("2999-01-01T00:00:00Z", datetime(2999, 1, 1, tzinfo=timezone.utc)),
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)
def test_times_are_read_as_rest_framework_reads_them(text: str, expected: datetime) -> None:
    assert parse_client_time(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-10",
        "12:00:00",
        "1700000000",
        "2026-13-10T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-03-10T25:00:00Z",
        "2026-03-10T12:00:00+99:00",
        "2026-03-10T12:00:00Zulu",
        "٢٠٢٦-03-10T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-03-10T12:00:00." + "1" * 10_000_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_client_time(text) is None


@pytest.mark.parametrize(
    ("client_time", "kept", "skew", "state"),
    [
        (NOON, "2026-03-10T12:00:00.000Z", 0.0, ""),
        (NOON + timedelta(minutes=5), "2026-03-10T12:05:00.000Z", 300.0, ""),
        (NOON - timedelta(hours=1), "2026-03-10T11:00:00.000Z", -3600.0, "skewed"),
        (NOON.replace(year=2999), "2027-03-11T12:00:00.000Z", 366 * 86_400.0, "absurd"),
        (parse_client_time("9999-12-31T23:59:59-23:59"), "2027-03-11T12:00:00.000Z", 366 * 86_400.0, "absurd"),
        (parse_client_time("0001-01-01T00:00:00+23:59"), "2025-03-09T12:00:00.000Z", -366 * 86_400.0, "absurd"),
    ],
)  # fmt: skip
def test_the_clients_clock_is_kept_beside_ours_and_bounded(
    client_time: datetime, kept: str, skew: float, state: str
) -> None:
    clock = compare_clocks(client_time, nanoseconds("2026-03-10T12:00:00"))

    assert clock.properties() == {
        "usage.property.client_time": kept,
        "usage.property.client_skew_seconds": f"{skew:.3f}",
        **({"usage.property.client_clock": state} if state else {}),
    }
