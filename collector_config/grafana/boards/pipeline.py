"""Pipeline health: which events arrived, each of them once, and which were set aside."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import (
    AGO,
    TEXT,
    Column,
    Line,
    PanelBuilder,
    number,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, HOUR, report_sql

_CHOICE = ("service",)

_SERVICES = (
    Column("service_name", "Service", TEXT),
    Column("stored", "Events"),
    Column("last", "Last event", AGO),
    Column("twice", "Duplicates", thresholds=(1, 100)),
    Column("taken", "Spans in otel_traces"),
)
_REJECTED = (
    Column("reason", "Reason", TEXT),
    Column("set_aside", "Events"),
    Column("last", "Latest", AGO),
    Column("latest_id", "Event id of the latest", TEXT),
)


def _whole(columns: str, *, group_by: str = "", order_by: str = "") -> str:
    return report_sql(
        "accounting",
        columns,
        variables=_CHOICE,
        group_by=group_by,
        order_by=order_by,
        bucket_seconds=HOUR,
        limit=ALL_ROWS,
    )


def pipeline() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-pipeline",
        "pipeline health",
        "Which events arrived: by service, with duplicates, and what was set aside. What an app itself dropped only its "
        "own accounting knows.",
        [
            Section("In this range", _numbers()),
            Section("Over time", _over_time()),
            Section("In numbers", _tables()),
        ],
        variables=[variables.service()],
        annotations=[marks.changes(), marks.rejected_bursts()],
        since="now-6h",
        refresh="1m",
    )


def _numbers() -> list[PanelBuilder]:
    last = "parseDateTime64BestEffortOrNull(max(last_event), 3, 'UTC')"
    return [
        number(
            "Events stored", "Rows of events, of all names, exact.", _whole("sum(events) AS stored"), width=6
        ),
        number(
            "Last event",
            "When the latest event in the range was made, by the clock of the app. The moment of its arrival is not stored.",
            _whole(f"{last} AS last"),
            AGO,
            width=6,
        ),
        number(
            "Duplicates",
            "Rows beyond the first of the same event id, exact: 0, unless a batch was cut anew and sent again. `otel-usage "
            "doctor` names the days, `otel-usage rebuild` mends them.",
            _whole("sum(duplicates) AS twice"),
            width=6,
            thresholds=(1, 100),
        ),
        number(
            "Set aside",
            "Events that ClickHouse would not take or that were no events, exact, of all services: they carry no service.",
            report_sql(
                "rejected",
                "sum(events) AS set_aside",
                bucket_seconds=HOUR,
                limit=ALL_ROWS,
            ),
            width=6,
            thresholds=(1, 100),
        ),
    ]


def _over_time() -> list[PanelBuilder]:
    return [
        over_time(
            "Events by service",
            "Rows of events per bucket of time, of all names, exact.",
            report_sql("accounting", "time, service_name, events", variables=_CHOICE, limit=ALL_ROWS),
            stacked=True,
            by_label="service_name",
        ),
        over_time(
            "Set aside by reason",
            "Events that were set aside per bucket of time, exact, of all services.",
            report_sql("rejected", "time, reason, events", limit=ALL_ROWS),
            stacked=True,
            by_label="reason",
        ),
        over_time(
            "Spans in otel_traces and events",
            "Usage spans that a Collector stored, and all rows of events. Equal where all events come through a Collector "
            "that keeps its spans; spans are 0 where none does.",
            report_sql(
                "accounting",
                "time, sum(spans) AS usage_spans, sum(events) AS all_events",
                variables=_CHOICE,
                group_by="time",
                order_by="time",
                limit=ALL_ROWS,
            ),
            lines=(
                Line("usage_spans", "Usage spans in otel_traces", "purple"),
                Line("all_events", "Events", "blue"),
            ),
        ),
        over_time(
            "Duplicates by service",
            "Rows beyond the first of the same event id per bucket of time, exact.",
            report_sql("accounting", "time, service_name, duplicates", variables=_CHOICE, limit=ALL_ROWS),
            stacked=True,
            by_label="service_name",
        ),
    ]


def _tables() -> list[PanelBuilder]:
    return [
        rows(
            "Services",
            "Events, duplicates and usage spans are exact. The last event is the latest one in the range.",
            _whole(
                "service_name, sum(events) AS stored, "
                "parseDateTime64BestEffortOrNull(max(last_event), 3, 'UTC') AS last, "
                "sum(duplicates) AS twice, sum(spans) AS taken",
                group_by="service_name",
                order_by="last, service_name",
            ),
            _SERVICES,
            width=14,
        ),
        rows(
            "Set aside",
            "By reason, exact. The rows are in rejected_events, with what was said in their bodies.",
            report_sql(
                "rejected",
                "reason, sum(events) AS set_aside, "
                "parseDateTime64BestEffortOrNull(max(last_seen), 3, 'UTC') AS last, "
                "argMax(event_id, last_seen) AS latest_id",
                group_by="reason",
                order_by="set_aside DESC, reason",
                bucket_seconds=HOUR,
                limit=ALL_ROWS,
            ),
            _REJECTED,
            width=10,
        ),
    ]
