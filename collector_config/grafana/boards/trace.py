"""One trace: its spans, where a Collector keeps them in otel_traces, and its usage events in any case."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Panel as AnyPanel
from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.datasource import SOURCE, TRACES, Query, QueryBuilder
from collector_config.grafana.links import TRACE_BOARD
from collector_config.grafana.panels import MILLISECONDS, NOTHING, TEXT, Column, PanelBuilder, names, rows
from collector_config.grafana.queries import report_sql, text_of

_CHOICE = ("trace_id",)
_IS_CHOSEN = f"{text_of('trace_id')} != ''"

_SPANS = (
    "trace_id AS traceID, span_id AS spanID, parent_span_id AS parentSpanID, span_name AS operationName, "
    "service_name AS serviceName, duration_ms AS duration, "
    "toUnixTimestamp64Nano(parseDateTime64BestEffort(timestamp, 9, 'UTC')) / 1e6 AS startTime, "
    "arrayMap(name -> map('key', name, 'value', attributes[name]), mapKeys(attributes)) AS tags, "
    "if(status_code = 'Error', 2, 0) AS statusCode"
)
"""The columns that the panel for traces knows, by name."""

_EVENTS = (
    Column("timestamp", "Time", TEXT, width=270),
    Column("event_name", "Event", TEXT),
    Column("service_name", "Service", TEXT),
    Column("method", "Method", TEXT, width=80),
    Column("path", "Path", TEXT),
    Column("status_code", "Status", "none", width=80, thresholds=(400, 500)),
    Column("duration_ms", "Duration", MILLISECONDS, width=110),
    Column("funnel", "Funnel", TEXT),
    Column("stage", "Stage", TEXT),
    Column("object_type", "Object type", TEXT),
    Column("object_id", "Object", TEXT),
    Column("user_id", "User", TEXT),
    Column("visit_key", "Visit", TEXT),
)
_ALL_SPANS = (
    Column("timestamp", "Time", TEXT, width=270),
    Column("service_name", "Service", TEXT),
    Column("span_name", "Span", TEXT),
    Column("kind", "Kind", TEXT, width=100),
    Column("status_code", "Status", TEXT, width=80),
    Column("status_message", "Message", TEXT),
    Column("duration_ms", "Duration", MILLISECONDS, width=110),
)


def trace() -> Dashboard:
    """Return the dashboard."""
    return board(
        TRACE_BOARD,
        "one trace",
        "The spans and the usage events of one trace, of the whole days in UTC that the range touches: the dashboards "
        "that lead here show whole days, too.",
        [
            Section("Spans", [_waterfall(), _spans()]),
            Section("Usage events", [_events()]),
        ],
        variables=[variables.trace_id()],
        since="now-30d",
        refresh="",
    )


def _waterfall() -> PanelBuilder:
    return (
        AnyPanel()
        .type("traces")
        .title("Spans of the trace")
        .description(
            "The spans that a Collector stored in otel_traces. None where events are sent without a Collector. Whole days in "
            "UTC."
        )
        .datasource(SOURCE)
        .with_target(QueryBuilder(Query(_spans_sql(_SPANS), TRACES)))
        .unit(MILLISECONDS)
        .no_value(NOTHING)
        .span(24)
        .height(14)
    )


def _spans() -> PanelBuilder:
    return rows(
        "Slowest spans",
        "The spans of the trace in otel_traces, the longest first. Durations are exact. Whole days in UTC.",
        _spans_sql(names(_ALL_SPANS), order_by="duration_ms DESC, timestamp"),
        _ALL_SPANS,
        height=8,
    )


def _events() -> PanelBuilder:
    return rows(
        "Usage events of the trace",
        "The rows of events with this trace id, in the order of time: the request and what happened in it. Whole days in UTC.",
        report_sql(
            "events",
            names(_EVENTS),
            variables=_CHOICE,
            where=_IS_CHOSEN,
            order_by="timestamp, event_id",
            whole_days=True,
        ),
        _EVENTS,
    )


def _spans_sql(columns: str, order_by: str = "") -> str:
    return report_sql(
        "spans", columns, variables=_CHOICE, where=_IS_CHOSEN, order_by=order_by, limit=5000, whole_days=True
    )
