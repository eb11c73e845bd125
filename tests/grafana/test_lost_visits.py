"""The panel of lost visits tells those that may still go on, and each leads to its trace, whatever the range."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, build_stage, insert_events
from tests.grafana.choices import first_choices
from tests.grafana.dashboards import read_dashboards
from tests.grafana.macros import TimeRange, expand

DASHBOARDS = {dashboard.uid: dashboard for dashboard in read_dashboards()}
AFTERNOON = TimeRange(
    datetime(2026, 3, 10, 15, tzinfo=timezone.utc), datetime(2026, 3, 10, 16, tzinfo=timezone.utc)
)


def rows_of(client: ClickHouse, uid: str, title: str, of: TimeRange, **wanted: str) -> list[dict[str, Any]]:
    dashboard = DASHBOARDS[uid]
    (query,) = (query for panel in dashboard.panels if panel.title == title for query in panel.queries)
    choices = first_choices(dashboard, client, of, **wanted)
    result = client.query(expand(query.sql, choices, of), settings={"readonly": 1})
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def lost(client: ClickHouse, of: TimeRange, **wanted: str) -> list[dict[str, Any]]:
    return rows_of(client, "otel-usage-funnels", "Visits that were lost after a stage", of, **wanted)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, [("over", 0), ("going on", 1)], id="the default of 20 minutes"),
        pytest.param({"visit_timeout": "86400"}, [("going on", 1), ("over", 1)], id="a day"),
        pytest.param({"visit_timeout": "60"}, [("going on", 0), ("over", 0)], id="a minute"),
        pytest.param({"visit_timeout": "9" * 30}, [("over", 0), ("going on", 1)], id="no such number"),
        pytest.param({"visit_timeout": "1') OR 1=1 -- "}, [("over", 0), ("going on", 1)], id="hostile"),
    ],
)
def test_visits_that_may_go_on_stand_last(
    usage: ClickHouse, wanted: dict[str, str], expected: list[tuple[str, int]]
) -> None:
    # The panel asks for the present; both visits are far from every bound, however slow the machine is.
    now = datetime.now(timezone.utc)
    seen = {"over": now - timedelta(hours=2), "going on": now - timedelta(minutes=5)}
    for visit, moment in seen.items():
        at = moment.isoformat()[:19]
        insert_events(
            usage, [build_event(at=at, visit=visit, path=f"/{visit}"), build_stage(1, at, visit=visit)]
        )
    insert_events(usage, [build_stage(2, now.isoformat()[:19], visit="another")])

    rows = lost(usage, TimeRange(now - timedelta(hours=3), now), **wanted)

    assert [(row["last_path"], row["is_open"]) for row in rows] == [
        (f"/{visit}", is_open) for visit, is_open in expected
    ]


def test_the_trace_of_a_visit_is_found_that_was_lost_before_the_range_on_its_first_day(
    usage: ClickHouse,
) -> None:
    early = build_event(at="2026-03-10T01:00:00", visit="a", path="/pay")
    stages = [build_stage(place, "2026-03-10T01:00:00", visit=visit) for visit, place in (("a", 1), ("b", 2))]
    insert_events(usage, [early, *stages])
    usage.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName) "
        f"VALUES ('2026-03-10 01:00:00', '{early.trace_id.hex()}', '00f067aa0ba902b7', 'GET /pay')"
    )

    (visit,) = lost(usage, AFTERNOON)

    def found(title: str, column: str) -> list[Any]:
        rows = rows_of(usage, "otel-usage-trace", title, AFTERNOON, trace_id=visit["trace_id"])
        return [row[column] for row in rows]

    assert found("Usage events of the trace", "path") == ["/pay"]
    assert found("Spans of the trace", "operationName") == ["GET /pay"]
    assert found("Slowest spans", "span_name") == ["GET /pay"]
