"""Conversions by day: the same visits as in the report `funnel` and in the view `conversions_daily`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.reports import ReportParameters, run_report
from tests.builders import build_stage, insert_events

FIRST = datetime(2026, 3, 8, tzinfo=timezone.utc)
DAYS = 5


def journeys() -> list[Event]:
    """Return visits in order, out of order, at one time, again, over midnight, of robots and of two services."""
    return [
        *(build_stage(stage, f"2026-03-10T12:00:0{stage}", visit="in order") for stage in (1, 2, 3)),
        *(build_stage(stage, f"2026-03-10T12:00:0{9 - stage}", visit="backwards") for stage in (1, 2, 3)),
        *(build_stage(stage, "2026-03-10T12:00:00", visit="at once") for stage in (1, 2, 3)),
        *(build_stage(1, f"2026-03-{day:02}T12:00:00", visit="again") for day in (9, 10, 11)),
        build_stage(1, "2026-03-10T23:59:59", visit="midnight"),
        build_stage(2, "2026-03-11T00:00:01", visit="midnight"),
        build_stage(2, "2026-03-10T12:00:00", visit="no entry"),
        *(build_stage(stage, f"2026-03-11T12:00:0{stage}", visit="robot", is_bot=True) for stage in (1, 2)),
        *(build_stage(stage, f"2026-03-11T12:00:0{stage}", visit="in order", service="blog") for stage in (1, 2)),
        build_stage(1, "2026-03-11T12:00:00", visit="in order", funnel="sign up"),
    ]  # fmt: skip


def ask(client: ClickHouse, name: str, first: datetime, days: int, **choice: Any) -> list[dict[str, Any]]:
    result = run_report(client, name, ReportParameters(first, first + timedelta(days=days), **choice))
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def test_visits_count_on_the_day_on_which_they_entered(usage: ClickHouse) -> None:
    insert_events(usage, journeys())

    rows = ask(usage, "conversions", FIRST, DAYS)

    assert [(row["day"].day, row["funnel"], row["stage_index"], row["visits"]) for row in rows] == [
        (11, "buy", 1, 1),
        (11, "buy", 2, 1),
        (11, "sign up", 1, 1),
        (10, "buy", 1, 4),
        (10, "buy", 2, 3),
        (10, "buy", 3, 2),
        (9, "buy", 1, 1),
    ]
    assert [row["share_of_first"] for row in rows if row["day"].day == 10] == [1, 0.75, 0.5]


@pytest.mark.parametrize("service", ["", "shop", "blog", "none"])
def test_each_day_has_what_the_report_of_the_funnel_says_of_it(usage: ClickHouse, service: str) -> None:
    insert_events(usage, journeys())

    rows = ask(usage, "conversions", FIRST, DAYS, service=service)

    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        expected = {
            (row["funnel"], row["stage_index"]): row["visits"]
            for row in ask(usage, "funnel", day, 1, service=service)
            if row["visits"]
        }
        assert {
            (row["funnel"], row["stage_index"]): row["visits"] for row in rows if row["day"] == day.date()
        } == expected


def test_the_days_are_those_of_the_public_view(usage: ClickHouse) -> None:
    insert_events(usage, journeys())

    rows = [
        (row["day"], row["funnel"], row["stage_index"], row["visits"])
        for row in ask(usage, "conversions", FIRST, DAYS)
    ]

    sql = "SELECT day, funnel, stage_index, sum(visits) FROM conversions_daily GROUP BY ALL ORDER BY day DESC, funnel, stage_index"
    assert rows == usage.query(sql).rows
    assert rows
