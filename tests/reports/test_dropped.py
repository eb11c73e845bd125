"""The report of lost visits: after which stage, where they went, and the trace that tells why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import StringIO
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.reports.printing import ReportRequest
from tests.builders import build_event, build_stage, insert_events, key_of
from tests.reports.test_reports import ALWAYS, ask
from tests.tracking import clean_process


def way(visit: str, *stages: int, day: int = 10, **columns: Any) -> list[Event]:
    return [
        build_stage(index, f"2026-03-{day:02}T12:00:{place:02}", visit=visit, **columns)
        for place, index in enumerate(stages)
    ]


NAMES = {key_of(name): name for name in "abcdef"}


def lost(client: ClickHouse, **parameters: Any) -> list[tuple[str, str]]:
    rows = ask(client, "dropped", replace(ALWAYS, **parameters))
    return [(NAMES[row["visit_key"]], row["stage"]) for row in rows]


TIMEOUT_AGO = datetime(2026, 3, 10, 12, 30, tzinfo=timezone.utc)


def which_are_open(client: ClickHouse, **parameters: Any) -> list[tuple[str, int]]:
    rows = ask(client, "dropped", replace(ALWAYS, open_since=TIMEOUT_AGO, **parameters))
    return [(NAMES[row["visit_key"]], row["is_open"]) for row in rows]


def test_a_lost_visit_is_told_with_its_last_request_and_its_trace(usage: ClickHouse) -> None:
    first = build_event(at="2026-03-10T11:59:59", visit="a", path="/cart")
    last = build_event(
        at="2026-03-10T12:05:00", visit="a", path="/pay", status_code=500, duration_ns=3 * 10**9
    )
    insert_events(usage, [last, first, *way("a", 1), *way("b", 1, 2)])

    (row,) = ask(usage, "dropped")

    assert row == {
        "funnel": "buy",
        "stage_index": 1,
        "stage": "stage 1",
        "service_name": "shop",
        "visit_key": key_of("a"),
        "reached_at": "2026-03-10T12:00:00.000000000Z",
        "is_open": 0,
        "last_seen": "2026-03-10T12:05:00.000000000Z",
        "last_path": "/pay",
        "last_status_code": 500,
        "last_duration_ms": 3000.0,
        "requests": 2,
        "trace_id": last.trace_id.hex(),
    }


def test_the_lost_visits_are_the_losses_of_the_funnel(usage: ClickHouse) -> None:
    insert_events(
        usage, [*way("a", 1), *way("b", 1, 2), *way("c", 1, 2, 3), *way("d", 1, 3), *way("e", 2, 1)]
    )
    insert_events(usage, way("f", 1, is_bot=True))

    found = lost(usage)
    visits = [row["visits"] for row in ask(usage, "funnel")]

    assert sorted(found) == [("a", "stage 1"), ("b", "stage 2"), ("d", "stage 1"), ("e", "stage 1")]
    for index, (here, there) in enumerate(zip(visits, visits[1:], strict=False), 1):
        assert here - there == sum(stage == f"stage {index}" for _, stage in found)


def test_a_funnel_a_stage_and_a_service_can_be_chosen(usage: ClickHouse) -> None:
    insert_events(usage, [*way("a", 1), *way("b", 1, 2), *way("c", 1, 2, 3)])
    insert_events(usage, [*way("d", 1, funnel="join"), *way("e", 1, 2, funnel="join")])
    insert_events(usage, [*way("f", 1, service="blog"), *way("a", 1, 2, service="blog")])

    assert lost(usage, funnel="join") == [("d", "stage 1")]
    assert lost(usage, funnel="buy", stage="stage 2") == [("b", "stage 2")]
    assert lost(usage, service="blog") == [("f", "stage 1")]
    assert lost(usage, stage="stage 1' OR 1=1 --") == []


def test_a_lost_visit_whose_requests_are_not_kept_has_no_trace(usage: ClickHouse) -> None:
    insert_events(usage, [*way("a", 1), *way("b", 1, 2)])

    (row,) = ask(usage, "dropped")

    assert (row["last_seen"], row["last_path"], row["requests"], row["trace_id"]) == ("", "", 0, "")


def test_the_limit_keeps_the_latest(usage: ClickHouse) -> None:
    insert_events(usage, [*way("a", 1, day=9), *way("b", 1, day=10), *way("c", 1, 2, day=11)])

    assert lost(usage, limit=1) == [("b", "stage 1")]


def test_a_visit_that_was_seen_within_the_time_out_is_open_and_comes_last(usage: ClickHouse) -> None:
    insert_events(usage, [event for visit in "abcd" for event in way(visit, 1)] + way("e", 1, 2))
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:30:00", visit="a"),
            build_event(at="2026-03-10T12:29:59.999999999", visit="b"),
            build_event(names.ACTIVITY, at="2026-03-10T12:40:00", visit="c"),
            build_event(at="2026-03-10T12:40:00", visit="d", service="blog"),
        ],
    )

    assert sorted(which_are_open(usage)) == [("a", 1), ("b", 0), ("c", 1), ("d", 0)]
    assert [is_open for _, is_open in which_are_open(usage)] == [0, 0, 1, 1]
    assert sorted(which_are_open(usage, limit=2)) == [("b", 0), ("d", 0)]


def test_a_response_that_ends_late_keeps_no_visit_open(usage: ClickHouse) -> None:
    insert_events(usage, [*way("a", 1), *way("b", 1, 2)])
    insert_events(usage, [build_event(names.RESPONSE_SENT, at="2026-03-10T12:40:00", visit="a")])

    assert which_are_open(usage) == [("a", 0)]


def test_an_open_visit_counts_for_the_funnel_as_before(usage: ClickHouse) -> None:
    insert_events(usage, [*way("a", 1), *way("b", 1, 2), build_event(at="2026-03-10T12:40:00", visit="a")])

    entered, came = (row["visits"] for row in ask(usage, "funnel", replace(ALWAYS, open_since=TIMEOUT_AGO)))

    assert (entered - came, which_are_open(usage)) == (1, [("a", 1)])


@pytest.mark.parametrize(("timeout_seconds", "is_open"), [("86400", 1), ("60", 0)])
def test_the_time_out_in_force_says_which_visits_are_open(
    usage: ClickHouse, monkeypatch: pytest.MonkeyPatch, timeout_seconds: str, is_open: int
) -> None:
    an_hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    stages = [build_stage(1, an_hour_ago.isoformat()[:19], visit=visit) for visit in "ab"]
    insert_events(usage, [*stages, build_stage(2, an_hour_ago.isoformat()[:19], visit="b")])
    output = StringIO()

    with clean_process(monkeypatch):
        monkeypatch.setenv("OTEL_USAGE_VISIT_TIMEOUT_SECONDS", timeout_seconds)
        notes = list(ReportRequest(name="dropped", output_format="json").print_to(output, usage))

    (row,) = json.loads(output.getvalue())
    assert (NAMES[row["visit_key"]], row["is_open"], notes) == ("a", is_open, [])
