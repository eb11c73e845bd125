"""The report of the pages that only browsers know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.reports import ReportParameters
from tests.builders import build_event, insert_events
from tests.reports.test_reports import ALWAYS, DAY, ask


def view(path: str, fragment: str = "", at: str = "2026-03-10T12:00:00", **given: Any) -> Event:
    event = build_event("activity", at, path=path, **given)
    if fragment:
        event.attributes[names.PROPERTY_PREFIX + "fragment"] = fragment
    return event


def test_views_are_counted_by_the_path_in_the_client(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            view("/cart", visit="a", visitor="ann", user_id="1"),
            view("/cart", visit="b", visitor="ann", user_id="1"),
            view("/cart", is_bot=True),
            view("/app", "/pay", visit="a", visitor="ann"),
            view("/app", "!/pay"),
            view("/app", "chapter-2"),
            view("/app"),
            build_event(path="/cart"),
        ],
    )

    rows = [tuple(row.values()) for row in ask(usage, "activity")]

    assert rows == [
        ("/cart", "", 3, 2, 1, 1, 1),
        ("/app", "", 2, 0, 0, 0, 0),
        ("/app", "!/pay", 1, 0, 0, 0, 0),
        ("/app", "/pay", 1, 1, 1, 0, 0),
    ]


def test_the_period_is_exact_and_a_service_can_be_chosen(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            view("/before", at="2026-03-10T11:59:59.999999999"),
            view("/first", at="2026-03-10T12:00:00"),
            view("/after", at="2026-03-10T13:00:00"),
            view("/other", at="2026-03-10T12:00:00", service="blog"),
        ],
    )
    noon = DAY + timedelta(hours=12)

    rows = ask(usage, "activity", ReportParameters(noon, noon + timedelta(hours=1), service="shop"))

    assert [row["path"] for row in rows] == ["/first"]


def test_the_listing_of_events_shows_activities_with_their_page(usage: ClickHouse) -> None:
    insert_events(usage, [view("/cart", visit="a", user_id="7")])

    (row,) = ask(usage, "events", ALWAYS)

    assert (row["event_name"], row["path"], row["user_id"]) == ("activity", "/cart", "7")
