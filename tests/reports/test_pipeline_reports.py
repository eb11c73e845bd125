"""The reports about the pipeline itself: accounting, rejected, changes, and the spans that a Collector stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, insert_events
from tests.reports.test_reports import ALWAYS, ask

HOUR = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def insert_span(client: ClickHouse, at: str = "2026-03-10 12:00:00", **columns: str) -> None:
    values = {
        "Timestamp": at,
        "TraceId": TRACE,
        "SpanId": "b7ad6b7169203331",
        "ServiceName": "shop",
        **columns,
    }
    texts = ", ".join(value if value.startswith("map(") else f"'{value}'" for value in values.values())
    client.command(f"INSERT INTO otel_traces ({', '.join(values)}) VALUES ({texts})")


def test_events_are_accounted_for_with_those_stored_twice(usage: ClickHouse) -> None:
    event = build_event(at="2026-03-10T12:00:01")
    insert_events(usage, [event, build_event("custom", at="2026-03-10T12:00:02")])
    insert_events(usage, [event, build_event(service="blog")])

    rows = [tuple(row.values()) for row in ask(usage, "accounting")]

    assert rows == [
        (HOUR, "blog", 1, 0, 1, 0, "2026-03-10T12:00:00.000000000Z"),
        (HOUR, "shop", 3, 1, 2, 0, "2026-03-10T12:00:02.000000000Z"),
    ]


def test_spans_that_became_events_are_counted_beside_them(usage: ClickHouse) -> None:
    insert_span(usage, SpanName="request", SpanAttributes="map('usage.event.id', 'x')")
    insert_span(usage, SpanName="SELECT", SpanId="b7ad6b7169203332")

    (row,) = ask(usage, "accounting")

    assert (row["service_name"], row["events"], row["spans"]) == ("shop", 1, 1)


def test_rejected_events_are_counted_by_reason(usage: ClickHouse) -> None:
    # Far ahead, because they are kept for 90 days only.
    noon = datetime(2100, 1, 1, 12, tzinfo=timezone.utc)
    for second, reason in enumerate(("too large", "no object", "too large")):
        usage.command(
            f"INSERT INTO rejected_events VALUES ('2100-01-01 12:00:0{second}', '{reason}', 'e{second}', '')"
        )

    rows = [
        (row["time"], row["reason"], row["events"], row["event_id"])
        for row in ask(usage, "rejected", replace(ALWAYS, until=noon + timedelta(days=1)))
    ]

    assert rows == [(noon, "no object", 1, "e1"), (noon, "too large", 2, "e2")]


def test_a_version_is_new_when_the_day_before_had_none_of_it(usage: ClickHouse) -> None:
    def version(text: str) -> str:
        return f"map('service.version', '{text}')"

    insert_span(usage, "2026-03-09 13:00:00", ResourceAttributes=version("1.0"))
    insert_span(usage, "2026-03-10 12:00:00", ResourceAttributes=version("1.0"))
    insert_span(usage, "2026-03-10 12:30:00", ResourceAttributes=version("1.1"))
    insert_span(usage, "2026-03-10 12:45:00", ResourceAttributes=version("1.1"))

    rows = ask(usage, "changes", replace(ALWAYS, since=HOUR))

    assert [(row["time"], row["kind"], row["service_name"], row["name"]) for row in rows] == [
        (HOUR.replace(minute=30), "version", "shop", "1.1")
    ]


def test_migrations_that_were_applied_together_are_one_change(usage: ClickHouse) -> None:
    applied = usage.query("SELECT count(), max(version) FROM schema_migrations FINAL WHERE version > 0").rows[
        0
    ]

    rows = ask(usage, "changes", replace(ALWAYS, until=datetime(2200, 1, 1, tzinfo=timezone.utc)))

    assert {row["kind"] for row in rows} == {"migration"}
    assert sum(row["changes"] for row in rows) == applied[0]
    assert rows[-1]["name"].startswith(f"{applied[1]:04}_")


def test_the_spans_of_a_trace_are_shown_in_the_order_of_time(usage: ClickHouse) -> None:
    insert_span(usage, "2026-03-10 12:00:01", SpanName="SELECT", ParentSpanId="b7ad6b7169203331", StatusCode="STATUS_CODE_ERROR", Duration="2500000", SpanAttributes="map('db.system', 'sqlite')")  # fmt: skip
    insert_span(usage, "2026-03-10 12:00:00", SpanName="GET /", StatusCode="Ok")
    insert_span(usage, TraceId="f" * 32)

    def told(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(
            row[name] for name in ("timestamp", "span_name", "status_code", "duration_ms", "attributes")
        )

    assert [told(row) for row in ask(usage, "spans", replace(ALWAYS, trace_id=TRACE))] == [
        ("2026-03-10T12:00:00.000000000Z", "GET /", "Ok", 0.0, {}),
        ("2026-03-10T12:00:01.000000000Z", "SELECT", "Error", 2.5, {"db.system": "sqlite"}),
    ]


def test_the_events_of_one_trace_can_be_asked_for(usage: ClickHouse) -> None:
    event = build_event(path="/this")
    insert_events(usage, [event, build_event(path="/that")])

    rows = ask(usage, "events", replace(ALWAYS, trace_id=event.trace_id.hex()))

    assert [row["path"] for row in rows] == ["/this"]
