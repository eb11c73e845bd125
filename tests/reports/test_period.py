"""What people write for a span of time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from otel_usage.reports.model import ReportParameters
from otel_usage.reports.period import is_part_of_day, parse_period

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=timezone.utc)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("15m", NOW - timedelta(minutes=15)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("4w", NOW - timedelta(weeks=4)),
        (" 7d ", NOW - timedelta(days=7)),
    ],
)
def test_an_age_counts_back_from_now(text: str, start: datetime) -> None:
    assert parse_period(text, None, NOW) == (start, NOW)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        pytest.param("2026-03-01", utc(2026, 3, 1), id="a date is its beginning in UTC"),
        pytest.param("2026-03-01T12:00:00", utc(2026, 3, 1, 12), id="no zone means UTC"),
        pytest.param("2026-03-01T12:00:00Z", utc(2026, 3, 1, 12), id="Z"),
        pytest.param("2026-03-01T12:00:00z", utc(2026, 3, 1, 12), id="small z"),
        pytest.param("2026-03-01T12:00:00+01:00", utc(2026, 3, 1, 11), id="another zone"),
        pytest.param(
            "2026-03-01 12:00:00.250000", utc(2026, 3, 1, 12, 0, 0, 250_000), id="a part of a second"
        ),
    ],
)
def test_an_iso_date_or_time_is_read_as_utc(text: str, start: datetime) -> None:
    read, _ = parse_period(text, None, NOW)

    assert read == start
    assert read.utcoffset() == timedelta(0)


def test_the_end_is_read_like_the_beginning() -> None:
    assert parse_period("7d", "1d", NOW) == (NOW - timedelta(days=7), NOW - timedelta(days=1))


def test_the_end_is_now_by_the_clock_by_default() -> None:
    before = datetime.now(timezone.utc)

    _, end = parse_period("7d", None)

    assert before <= end <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "7",
        "d",
        "7y",
        "-7d",
        "1.5h",
        "7d1h",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "٧d٧",
    ],
)
def test_a_time_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no time, expected 15m, 24h, 7d, 4w, or a date") as caught:
        parse_period(text, None, NOW)

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1969-12-31", "2262-01-02", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_clickhouse_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="lies outside the years 1970 to 2261|is no time"):
        parse_period(text, None, NOW)


@pytest.mark.parametrize("text", ["30000d", "99999999d", "999999w", "9" * 90 + "h"])
def test_an_age_beyond_all_data_is_too_far_back(text: str) -> None:
    with pytest.raises(ValueError, match="is too far back, expected a time from 1970 on"):
        parse_period(text, None, NOW)


@pytest.mark.parametrize(
    ("text", "is_part"),
    [("7d", False), ("4w", False), ("2026-03-01", False), ("2026-03-01T00:00:00Z", False), (None, False)]
    + [("1h", True), ("15m", True), ("2026-03-01T12:00:00", True), ("2026-03-01T00:00:00+01:00", True)],
)
def test_days_and_dates_are_whole_days_and_other_times_are_not(text: str | None, is_part: bool) -> None:
    moment, _ = parse_period(text or "7d", None, NOW)

    assert is_part_of_day(text, moment) == is_part


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match="is no time") as caught:
        parse_period("x" * 10_000, None, NOW)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("since", "until"),
    [
        pytest.param("1d", "7d", id="the wrong way round"),
        pytest.param("7d", "7d", id="the same"),
        pytest.param("2026-03-11", None, id="begins in the future"),
    ],
)
def test_a_period_without_duration_is_refused(since: str, until: str | None) -> None:
    with pytest.raises(ValueError, match="The period is empty: --since"):
        parse_period(since, until, NOW)


@pytest.mark.parametrize(
    ("until", "end_day"),
    [
        pytest.param(utc(2026, 3, 10), "2026-03-10", id="the beginning of a day leaves it out"),
        pytest.param(utc(2026, 3, 10, 0, 0, 1), "2026-03-11", id="any later moment takes all of it"),
        pytest.param(
            datetime(2026, 3, 10, 1, tzinfo=timezone(timedelta(hours=1))),
            "2026-03-10",
            id="midnight in UTC counts",
        ),
    ],
)
def test_reports_of_days_take_whole_utc_days(until: datetime, end_day: str) -> None:
    parameters = ReportParameters(utc(2026, 3, 9, 23, 59), until)

    assert parameters.first_day.isoformat() == "2026-03-09"
    assert parameters.end_day.isoformat() == end_day
