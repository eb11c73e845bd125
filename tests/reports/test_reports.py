"""Every report: what it answers, over which days, and that it says the same as the views."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS, ReportParameters, ReportResult, load_sql, run_report
from tests.builders import build_event, insert_events

DAY = datetime(2026, 3, 10, tzinfo=timezone.utc)
ALWAYS = ReportParameters(DAY - timedelta(days=30), DAY + timedelta(days=30))


def ask(client: ClickHouse, name: str, parameters: ReportParameters = ALWAYS) -> list[dict[str, Any]]:
    result = run_report(client, name, parameters)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def some_days() -> list[Any]:
    """Return the requests, views, counters and activities of three visitors on three days."""
    events = []
    for day in (9, 10, 11):
        for number, visitor in enumerate(("ann", "bob", "crawler")):
            shared: dict[str, Any] = {
                "visit": f"{visitor}{day}",
                "visitor": visitor,
                "is_bot": visitor == "crawler",
                "browser": ("Firefox", "Chrome", "")[number],
                "client_address": f"192.0.2.{number}",
            }
            events += [
                build_event(at=f"2026-03-{day:02}T12:00:00", is_new=True, path="/in", route="/in", **shared),
                build_event(at=f"2026-03-{day:02}T12:00:30", path="/out", route="/out", **shared),
                build_event("object_viewed", at=f"2026-03-{day:02}T12:00:10", object_type="product", object_id="1", **shared),
                build_event("counter", at=f"2026-03-{day:02}T12:00:10", counter_name="likes", counter_value=2, **shared),
                build_event("activity", at=f"2026-03-{day:02}T12:00:20", path="/app", **shared),
            ]  # fmt: skip
    return events


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_has_its_columns_without_a_single_event(usage: ClickHouse, name: str) -> None:
    result = run_report(usage, name, ALWAYS)

    assert result.rows == []
    assert len(result.columns) >= 5


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_says_what_it_takes_gives_and_how_it_is_ordered(name: str) -> None:
    head = load_sql(name).partition("\nSELECT")[0].partition("\nWITH")[0]

    assert all(line.startswith("--") for line in head.splitlines())
    assert "Parameters" in head
    assert "Order" in head


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("browsers", "SELECT browser, sum(requests), sum(visits) FROM browsers_daily GROUP BY browser"),
        ("ips", "SELECT replaceOne(toString(client_address), '::ffff:', ''), sum(requests), sum(visits) FROM ips_daily GROUP BY 1"),
        ("pages", "SELECT route, path, sum(requests), sum(errors) FROM pages_daily GROUP BY route, path"),
        ("objects", "SELECT object_type, object_id, sum(views) FROM objects_daily GROUP BY object_type, object_id"),
        ("counters", "SELECT counter_name, sum(value) FROM counters_daily GROUP BY counter_name"),
    ],
)  # fmt: skip
def test_a_report_has_the_numbers_of_its_view(usage: ClickHouse, name: str, sql: str) -> None:
    insert_events(usage, some_days())
    columns = {
        "browsers": ("browser", "requests", "visits"),
        "ips": ("client_address", "requests", "visits"),
        "pages": ("route", "path", "requests", "errors"),
        "objects": ("object_type", "object_id", "views"),
        "counters": ("counter_name", "value"),
    }[name]

    found = [tuple(row[column] for column in columns) for row in ask(usage, name)]

    assert sorted(found) == sorted(usage.query(sql).rows)
    assert len(found) > 0


def test_a_counter_has_its_average_over_the_days_on_which_it_was_counted(usage: ClickHouse) -> None:
    shared: Any = {"counter_name": "likes", "object_type": "item", "object_id": "1"}
    events = [
        build_event("counter", "2026-03-10T10:00:00", counter_value=2, **shared),
        build_event("counter", "2026-03-10T11:00:00", counter_value=3, is_bot=True, **shared),
        build_event("counter", "2026-03-12T10:00:00", counter_value=4, service="api", **shared),
    ]
    insert_events(usage, events)

    (row,) = ask(usage, "counters")

    assert (row["value"], row["bot_value"], row["days"], row["average_per_day"]) == (9, 3, 2, 4.5)


def test_a_report_over_the_middle_day_has_the_views_numbers_of_that_day(usage: ClickHouse) -> None:
    insert_events(usage, some_days())

    found = ask(usage, "browsers", ReportParameters(DAY, DAY + timedelta(days=1)))

    expected = usage.query(
        "SELECT browser, sum(requests), sum(visits) FROM browsers_daily WHERE day = '2026-03-10' GROUP BY browser"
    ).rows
    assert sorted((row["browser"], row["requests"], row["visits"]) for row in found) == sorted(expected)


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        pytest.param(timedelta(hours=0), timedelta(hours=24), 1, id="one whole day"),
        pytest.param(timedelta(hours=13), timedelta(hours=14), 1, id="an hour is widened to its day"),
        pytest.param(timedelta(hours=-1), timedelta(hours=1), 2, id="both days of an hour around midnight"),
        pytest.param(timedelta(hours=0), timedelta(hours=24, microseconds=1), 2, id="the next day has begun"),
    ],
)
def test_a_report_of_days_covers_every_day_that_the_range_touches(
    usage: ClickHouse, since: timedelta, until: timedelta, days: int
) -> None:
    insert_events(usage, some_days())

    rows = ask(usage, "browsers", ReportParameters(DAY + since, DAY + until))

    assert sum(row["requests"] for row in rows) == days * 6


def test_days_are_those_of_utc_wherever_the_asker_is(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at="2026-03-10T23:30:00")])
    zurich = timezone(timedelta(hours=1))

    local_day = datetime(2026, 3, 11, 0, 0, tzinfo=zurich), datetime(2026, 3, 11, 1, 0, tzinfo=zurich)

    assert len(ask(usage, "browsers", ReportParameters(*local_day))) == 1


def test_visitors_of_several_days_are_counted_once(usage: ClickHouse) -> None:
    insert_events(usage, some_days())

    firefox = next(row for row in ask(usage, "browsers") if row["browser"] == "Firefox")

    assert (firefox["visits"], firefox["visitors"]) == (3, 1)


def test_robots_are_told_apart_by_a_column(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(is_bot=True), build_event(), build_event()])

    for name in ("browsers", "ips", "pages"):
        assert [(row["requests"], row["bot_requests"]) for row in ask(usage, name)] == [(3, 1)], name


_OF_OTHER_EVENTS = {
    "funnel",
    "conversions",
    "dropped",
    "acquisition",
    "users",
    "bots",
    "failures",
    "rejected",
    "changes",
    "spans",
}
"""Reports of which `some_days` has nothing, or that count requests in another way; they have tests of their own."""


@pytest.mark.parametrize("name", [name for name in REPORTS if name not in _OF_OTHER_EVENTS])
def test_one_service_can_be_asked_for(usage: ClickHouse, name: str) -> None:
    insert_events(usage, some_days())
    insert_events(usage, [event._replace(service_name="blog") for event in some_days()])

    one = ask(usage, name, ReportParameters(ALWAYS.since, ALWAYS.until, service="blog"))
    none = ask(usage, name, ReportParameters(ALWAYS.since, ALWAYS.until, service="shop' OR 1=1 --"))

    numbers = [value for row in one for key, value in row.items() if key in ("requests", "views", "value")]
    assert one
    assert none == []
    assert not numbers or sum(numbers) == 18 or sum(numbers) == 9


@pytest.mark.parametrize("name", ["objects", "counters"])
def test_objects_of_one_type_can_be_asked_for(usage: ClickHouse, name: str) -> None:
    for type_ in ("shop.Product", "blog.Post"):
        thing: dict[str, Any] = {"object_type": type_, "object_id": "1"}
        count = build_event("counter", counter_name="likes", counter_value=1, **thing)
        insert_events(usage, [build_event("object_viewed", **thing), count])

    found = ask(usage, name, ReportParameters(ALWAYS.since, ALWAYS.until, object_type="blog.Post"))

    assert [row["object_type"] for row in found] == ["blog.Post"]


def test_a_report_that_was_cut_says_so(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(path=f"/{n}") for n in range(3)])

    def pages(limit: int) -> ReportResult:
        return run_report(usage, "pages", ReportParameters(ALWAYS.since, ALWAYS.until, limit=limit))

    assert [(len(pages(limit).rows), pages(limit).is_cut) for limit in (2, 3, 4)] == [
        (2, True),
        (3, False),
        (3, False),
    ]


def test_the_most_requested_come_first_and_equals_by_name(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(path=path) for path in ("/b", "/c", "/a", "/c")])

    assert [row["path"] for row in ask(usage, "pages")] == ["/c", "/a", "/b"]


def test_addresses_read_as_people_write_them(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [build_event(client_address=address) for address in ("192.0.2.1", "2001:db8::1", "")],
    )

    assert {row["client_address"] for row in ask(usage, "ips")} == {"192.0.2.1", "2001:db8::1", ""}


def test_visits_are_summed_up_by_the_day_they_began(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T23:59:00", visit="a", is_new=True),
            build_event(at="2026-03-11T00:01:00", visit="a"),
            build_event(at="2026-03-10T10:00:00", visit="b", is_new=True),
            build_event(at="2026-03-10T10:00:00", visit="robot", is_new=True, is_bot=True),
        ],
    )

    people, robots = ask(usage, "visits", ReportParameters(DAY, DAY + timedelta(days=1)))

    assert str(people["day"]) == "2026-03-10"
    assert people == {
        "day": people["day"],
        "service_name": "shop",
        "is_bot": 0,
        "visits": 2,
        "confirmed": 1,
        "single_request": 1,
        "requests": 3,
        "requests_per_visit": 1.5,
        "median_seconds": people["median_seconds"],
    }
    assert people["median_seconds"] == 60.0
    assert (robots["is_bot"], robots["visits"]) == (1, 1)


def test_the_median_of_visits_is_that_of_the_visit_in_the_middle(usage: ClickHouse) -> None:
    for visit, seconds in (("a", "00.5"), ("b", "20.25"), ("c", "59")):
        at = (f"2026-03-10T10:00:{moment}" for moment in ("00", seconds))
        insert_events(usage, [build_event(at=moment, visit=visit) for moment in at])

    assert [row["median_seconds"] for row in ask(usage, "visits")] == [20.25]


def test_pages_have_their_errors_and_durations_over_all_days(usage: ClickHouse) -> None:
    statuses = (200, 302, 404, 500, 503)
    events = [
        build_event(
            at=f"2026-03-{10 + number % 3}T12:00:00",
            status_code=statuses[number % 5],
            duration_ns=(number + 1) * 1_000_000,
            path="/slow",
            route="/slow",
        )
        for number in range(100)
    ]
    insert_events(usage, events)

    rows = ask(usage, "pages")

    # A page that was not found has no path, so that what robots try does not fill the table.
    assert {(row["route"], row["path"], row["requests"], row["errors"]) for row in rows} == {
        ("/slow", "/slow", 80, 40),
        ("/slow", "", 20, 0),
    }
    (slow,) = (row for row in rows if row["path"])
    assert slow["duration_p50_ms"] == pytest.approx(50, rel=0.05)
    assert slow["duration_p95_ms"] == pytest.approx(95, rel=0.05)


def test_a_visit_that_began_the_day_before_is_no_visit_of_today(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at=f"2026-03-{day}T{hour}", visit="a")
            for day, hour in (("09", "23:59:00"), ("10", "00:01:00"))
        ],
    )

    assert ask(usage, "visits", ReportParameters(DAY, DAY + timedelta(days=1))) == []


def test_the_visits_report_has_the_numbers_of_the_view(usage: ClickHouse) -> None:
    insert_events(usage, some_days())

    found = [(row["visits"], row["confirmed"], row["requests"]) for row in ask(usage, "visits")]

    expected = usage.query(
        "SELECT count(), sum(confirmed), sum(visits.requests) FROM visits "
        "GROUP BY toDate(started), is_bot ORDER BY toDate(started) DESC, is_bot"
    ).rows
    assert found == expected


# Events.


def test_the_latest_events_come_first_with_their_nanoseconds(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at=f"2026-03-10T12:00:00.00000000{digit}") for digit in (1, 3, 2)])

    rows = ask(usage, "events")

    assert [row["timestamp"] for row in rows] == [
        f"2026-03-10T12:00:00.00000000{digit}Z" for digit in (3, 2, 1)
    ]


def test_equal_times_are_ordered_by_the_event_id(usage: ClickHouse) -> None:
    events = [build_event() for _ in range(20)]
    for event in events:
        insert_events(usage, [event])

    found = [row["event_id"] for row in ask(usage, "events")]

    assert found == sorted((event.id for event in events), reverse=True)


def test_events_are_asked_for_to_the_microsecond(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at=f"2026-03-10T12:00:00.00000{digit}") for digit in (0, 1, 2)])
    start = DAY + timedelta(hours=12, microseconds=1)

    rows = ask(usage, "events", ReportParameters(start, start + timedelta(microseconds=1)))

    assert [row["timestamp"] for row in rows] == ["2026-03-10T12:00:00.000001000Z"]
