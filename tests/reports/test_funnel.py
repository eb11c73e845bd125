"""The funnel report: how many visits came how far, and how fast."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import ReportParameters, run_report
from tests.builders import build_stage, insert_events

DAY = datetime(2026, 3, 10, tzinfo=timezone.utc)
ALWAYS = ReportParameters(DAY - timedelta(days=30), DAY + timedelta(days=30))


def stages_of(client: ClickHouse, parameters: ReportParameters = ALWAYS) -> list[tuple[Any, ...]]:
    return run_report(client, "funnel", parameters).rows


def test_the_funnel_report_says_how_many_came_how_far_and_how_fast(usage: ClickHouse) -> None:
    for number in range(4):
        insert_events(usage, [build_stage(1, "2026-03-10T12:00:00", visit=f"v{number}", stage="cart")])
    for number, seconds in enumerate((10, 20, 40)):
        insert_events(
            usage, [build_stage(2, f"2026-03-10T12:00:{seconds}", visit=f"v{number}", stage="paid")]
        )

    result = run_report(usage, "funnel", ALWAYS)

    assert result.columns == (
        "funnel", "stage_index", "stage", "visits", "share_of_first", "share_of_previous", "median_seconds_from_previous",
    )  # fmt: skip
    assert result.rows == [
        ("buy", 1, "cart", 4, 1.0, 1.0, 0.0),
        ("buy", 2, "paid", 3, 0.75, 0.75, 20.0),
    ]


def test_the_median_of_two_lies_between_them(usage: ClickHouse) -> None:
    for visit, seconds in (("v", "10"), ("w", "20.5")):
        stages = [(1, "2026-03-10T12:00:00"), (2, f"2026-03-10T12:00:{seconds}")]
        insert_events(usage, [build_stage(index, at, visit=visit) for index, at in stages])

    assert [row[6] for row in stages_of(usage)] == [0.0, 15.25]


def test_a_stage_that_was_reached_out_of_order_only_is_shown_with_no_visits(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-10T12:00:00", visit="v"),
            build_stage(3, "2026-03-10T12:00:01", visit="v"),
        ],
    )

    assert [row[1:6] for row in stages_of(usage)] == [
        (1, "stage 1", 1, 1.0, 1.0),
        (3, "stage 3", 0, 0.0, 0.0),
    ]


def test_visits_count_where_they_entered_with_all_that_came_later(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-10T23:59:59", visit="v"),
            build_stage(2, "2026-03-11T00:00:01", visit="v"),
            build_stage(1, "2026-03-11T10:00:00", visit="w"),
        ],
    )

    def visits_of(day: datetime) -> list[int]:
        return [row[3] for row in stages_of(usage, ReportParameters(day, day + timedelta(days=1)))]

    assert [visits_of(DAY), visits_of(DAY + timedelta(days=1))] == [[1, 1], [1, 0]]


def test_a_visit_that_had_entered_before_the_range_does_not_enter_again(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-09T23:59:59", visit="v"),
            build_stage(1, "2026-03-10T00:00:10", visit="v"),
        ],
    )

    assert [row[3] for row in stages_of(usage, ReportParameters(DAY, DAY + timedelta(days=1)))] == [0]


def test_robots_are_left_out_of_the_funnel(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-10T12:00:00", visit="robot", is_bot=True),
            build_stage(1, "2026-03-10T12:00:00", visit="v"),
        ],
    )

    assert [row[3] for row in stages_of(usage)] == [1]


def test_one_funnel_and_one_service_can_be_asked_for(usage: ClickHouse) -> None:
    for funnel in ("buy", "sign_up"):
        for service in ("shop", "blog"):
            event = build_stage(
                1, "2026-03-10T12:00:00", visit=f"{funnel}{service}", funnel=funnel, service=service
            )
            insert_events(usage, [event])

    one = stages_of(usage, ReportParameters(ALWAYS.since, ALWAYS.until, service="blog", funnel="sign_up"))

    assert [row[:4] for row in one] == [("sign_up", 1, "stage 1", 1)]
    assert [row[3] for row in stages_of(usage)] == [2, 2]


def test_the_funnel_report_is_the_sum_of_the_daily_conversions(usage: ClickHouse) -> None:
    events = []
    for number in range(60):
        day, minute = 5 + number % 6, number % 50
        places = [place for place in (1, 2, 3, 4) if (number >> place) % 3] or [1]
        if number % 7 == 0:
            places.reverse()
        events += [
            build_stage(place, f"2026-03-{day + turn // 2:02}T23:{minute:02}:{turn:02}", visit=f"v{number}", is_bot=number % 11 == 0)
            for turn, place in enumerate(places)
        ]  # fmt: skip
    insert_events(usage, events)

    found = [
        (row[1], row[3]) for row in stages_of(usage, ReportParameters(DAY - timedelta(days=3), DAY)) if row[3]
    ]

    expected = usage.query(
        "SELECT stage_index, sum(visits) FROM conversions_daily "
        "WHERE day >= '2026-03-07' AND day < '2026-03-10' GROUP BY stage_index ORDER BY stage_index"
    ).rows
    assert found == expected
    assert len(found) > 2


def test_each_stage_is_compared_with_the_first_and_with_the_one_before(usage: ClickHouse) -> None:
    for visit, reached in (("a", 3), ("b", 2), ("c", 2), ("d", 1)):
        stages = [
            build_stage(place, f"2026-03-10T12:00:0{place}", visit=visit) for place in range(1, reached + 1)
        ]
        insert_events(usage, stages)

    assert [row[3:6] for row in stages_of(usage)] == [(4, 1.0, 1.0), (3, 0.75, 0.75), (1, 0.25, 1 / 3)]
