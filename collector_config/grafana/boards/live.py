"""Live traffic: what happens now, and whether that is much."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.links import trace_url
from collector_config.grafana.panels import (
    CLIENT_ERRORS,
    COUNT,
    MILLISECONDS,
    SERVER_ERRORS,
    SHARE,
    TEXT,
    Column,
    PanelBuilder,
    number,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, HOUR, report_sql

_EVENTS = (
    Column("time", "Time", "dateTimeAsIso", width=190),
    Column("event_name", "Event", TEXT, width=120),
    Column("service_name", "Service", TEXT, width=120),
    Column("method", "Method", TEXT, width=80),
    Column("path", "Path", TEXT),
    Column("status_code", "Status", "none", width=80, thresholds=(400, 500)),
    Column("duration_ms", "Duration", MILLISECONDS, width=100),
    Column("browser", "Browser", TEXT, width=120),
    Column("client_address", "Address", TEXT, width=140),
    Column("trace_id", "Trace", TEXT, url=trace_url(), link_title="Spans and events of this trace"),
)


def _total(expression: str) -> str:
    return report_sql("traffic", expression, bucket_seconds=HOUR, limit=ALL_ROWS)


def live() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-live",
        "live traffic",
        "Requests, visits and errors as they come, and the latest events.",
        [
            Section(
                "In this range",
                [
                    number(
                        "Requests", "Requests, exact: each counts once.", _total("sum(requests) AS requests")
                    ),
                    number(
                        "Visits begun",
                        "Visits that began in the range, exact.",
                        _total("sum(visits) AS visits"),
                    ),
                    number(
                        "Server errors",
                        "Requests answered with status 500 and above, exact.",
                        _total("sum(errors) AS errors"),
                        thresholds=(1, 10),
                    ),
                    number(
                        "Share of server errors",
                        "Requests answered with status 500 and above, over all requests. 0 where there were none.",
                        _total("if(sum(requests) = 0, 0, sum(errors) / sum(requests)) AS share"),
                        SHARE,
                        thresholds=(0.01, 0.05),
                    ),
                    number(
                        "Client errors",
                        "Requests answered with status 400 to 499, exact.",
                        _total("sum(client_errors) AS client_errors"),
                    ),
                    number(
                        "Bytes sent",
                        "Bytes of the bodies of responses, exact. Those of a stream count when it has ended.",
                        _total("sum(transfer) AS transfer"),
                        "bytes",
                    ),
                ],
            ),
            Section("Over time", _over_time()),
            Section(
                "Latest events",
                [
                    rows(
                        "Latest events",
                        "The latest 100 events of any kind, newest first. The trace leads to the spans of the request.",
                        report_sql(
                            "events",
                            "parseDateTime64BestEffort(timestamp, 3, 'UTC') AS time, event_name, service_name, method, path, "
                            "status_code, duration_ms, browser, client_address, substring(event_id, 1, 32) AS trace_id",
                            limit=100,
                        ),
                        _EVENTS,
                        height=14,
                    )
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        since="now-1h",
        refresh="30s",
    )


def _over_time() -> list[PanelBuilder]:
    return [
        over_time(
            "Requests",
            "Requests per bucket of time, exact, by service.",
            report_sql("traffic", "time, service_name, requests", limit=ALL_ROWS),
            COUNT,
            stacked=True,
            by_label="service_name",
        ),
        over_time(
            "Visits begun",
            "Visits that began in the bucket, exact, by service.",
            report_sql("traffic", "time, service_name, visits", limit=ALL_ROWS),
            COUNT,
            stacked=True,
            by_label="service_name",
        ),
        over_time(
            "Errors",
            "Requests answered with status 400 to 499, and with 500 and above, of all services chosen. Exact.",
            report_sql(
                "traffic",
                "time, sum(client_errors) AS client_errors, sum(errors) AS server_errors",
                group_by="time",
                order_by="time",
                limit=ALL_ROWS,
            ),
            COUNT,
            stacked=True,
            lines=(CLIENT_ERRORS, SERVER_ERRORS),
        ),
        over_time(
            "Duration, 95 of 100 requests",
            "The time within which 95 of 100 requests of the bucket had their response ready, by service; about 1 % off.",
            report_sql("traffic", "time, service_name, duration_p95_ms", limit=ALL_ROWS),
            MILLISECONDS,
            by_label="service_name",
        ),
    ]
