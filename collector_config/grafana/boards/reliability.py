"""Reliability: errors and durations beside the usage that they meet."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.links import trace_url
from collector_config.grafana.panels import (
    MILLISECONDS,
    SHARE,
    TEXT,
    Column,
    PanelBuilder,
    names,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, report_sql

_FAILURES = (
    Column("service_name", "Service", TEXT),
    Column("route", "Route", TEXT),
    Column("status_code", "Status", "none", width=80),
    Column("failures", "Failures"),
    Column("visits", "Visits hit"),
    Column("last_seen", "Latest", TEXT),
    Column("last_duration_ms", "Its duration", MILLISECONDS),
    Column(
        "trace_id", "Its trace", TEXT, url=trace_url(), link_title="Spans and events of the latest failure"
    ),
)
_SLOW = (
    Column("route", "Route", TEXT),
    Column("path", "Path", TEXT),
    Column("requests", "Requests"),
    Column("visits", "Visits"),
    Column("duration_p50_ms", "Median", MILLISECONDS),
    Column("duration_p95_ms", "95 of 100", MILLISECONDS, thresholds=(500, 2000)),
    Column("errors", "Server errors", thresholds=(1, 10)),
)


def reliability() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-reliability",
        "reliability",
        "Errors and durations beside the usage that they meet, and the trace of the latest failure of each route.",
        [
            Section("Over time", _over_time()),
            Section(
                "Where",
                [
                    rows(
                        "Failures by route",
                        "Requests answered with status 500 and above, exact; visits hit are distinct, about 0.9 % off. The trace "
                        "of the latest one leads to its spans and events.",
                        report_sql("failures", names(_FAILURES), limit=100),
                        _FAILURES,
                    ),
                    rows(
                        "Slowest pages",
                        "The 50 pages of 10 requests or more with the longest times of 95 of 100 requests, about 1 % off. Whole "
                        "days in UTC.",
                        report_sql(
                            "pages",
                            names(_SLOW),
                            where="requests >= 10",
                            order_by="duration_p95_ms DESC, route, path",
                            most=50,
                            limit=ALL_ROWS,
                        ),
                        _SLOW,
                    ),
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        annotations=[marks.changes(), marks.rejected_bursts()],
        since="now-24h",
        refresh="1m",
    )


def _over_time() -> list[PanelBuilder]:
    def of_each(value: str) -> str:
        return report_sql("traffic", f"time, service_name, {value}", limit=ALL_ROWS)

    return [
        over_time(
            "Share of server errors",
            "Requests answered with status 500 and above over all requests of the bucket, by service. Exact.",
            of_each("if(requests = 0, 0, errors / requests) AS share"),
            SHARE,
            by_label="service_name",
        ),
        over_time(
            "Requests",
            "Requests per bucket of time, exact, by service.",
            of_each("requests"),
            stacked=True,
            by_label="service_name",
        ),
        over_time(
            "Duration, 95 of 100 requests",
            "The time within which 95 of 100 requests had their response ready, by service; about 1 % off.",
            of_each("duration_p95_ms"),
            MILLISECONDS,
            by_label="service_name",
        ),
        over_time(
            "Duration, median",
            "The time within which half of the requests had their response ready, by service; about 1 % off.",
            of_each("duration_p50_ms"),
            MILLISECONDS,
            by_label="service_name",
        ),
        over_time(
            "Server errors",
            "Requests answered with status 500 and above, exact, by service.",
            of_each("errors"),
            stacked=True,
            by_label="service_name",
        ),
        over_time(
            "Visits begun",
            "Visits that began in the bucket, exact, by service: what errors keep away.",
            of_each("visits"),
            stacked=True,
            by_label="service_name",
        ),
    ]
