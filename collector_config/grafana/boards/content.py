"""Content: which pages and objects are looked at, and what is counted on them."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import MILLISECONDS, TEXT, Column, names, rows
from collector_config.grafana.queries import report_sql

_MOST_ROWS = 200

_PAGES = (
    Column("route", "Route", TEXT),
    Column("path", "Path", TEXT),
    Column("requests", "Requests", width=110),
    Column("visits", "Visits", width=100),
    Column("errors", "Server errors", width=120, thresholds=(1, 10)),
    Column("duration_p50_ms", "Median", MILLISECONDS, width=100),
    Column("duration_p95_ms", "95 of 100", MILLISECONDS, width=100),
    Column("bot_requests", "Robots", width=100),
)
_ACTIVITY = (
    Column("path", "Path", TEXT),
    Column("fragment", "After the #", TEXT),
    Column("views", "Views"),
    Column("visits", "Visits"),
    Column("visitors", "Visitors"),
)
_OBJECTS = (
    Column("object_type", "Type", TEXT),
    Column("object_id", "Object", TEXT),
    Column("views", "Views"),
    Column("visits", "Visits"),
    Column("users", "Users"),
)
_COUNTERS = (
    Column("object_type", "Type", TEXT),
    Column("object_id", "Object", TEXT),
    Column("counter_name", "Counter", TEXT),
    Column("value", "Sum"),
    Column("average_per_day", "Average by day"),
)


def content() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-content",
        "content",
        "Pages, objects and counters.",
        [
            Section(
                "Pages",
                [
                    rows(
                        "Pages",
                        "By route and path; what was not found is one row without either. Requests and errors are exact, visits "
                        "distinct over the range and about 0.9 % off, durations about 1 % off. Whole days in UTC.",
                        report_sql("pages", names(_PAGES), limit=_MOST_ROWS),
                        _PAGES,
                        height=12,
                    ),
                    rows(
                        "Pages that only browsers know",
                        "Views that the client API logged, exact; visits and visitors distinct, about 0.9 % off.",
                        report_sql("activity", names(_ACTIVITY), limit=_MOST_ROWS),
                        _ACTIVITY,
                    ),
                ],
            ),
            Section(
                "Objects",
                [
                    rows(
                        "Objects",
                        "Views are exact; visits and users distinct over the range, about 0.9 % off. Whole days in UTC.",
                        report_sql("objects", names(_OBJECTS), limit=_MOST_ROWS),
                        _OBJECTS,
                        width=12,
                    ),
                    rows(
                        "Counters",
                        "Sums of the app's own counters, exact, and their average over the days on which they were counted. Whole "
                        "days in UTC.",
                        report_sql("counters", names(_COUNTERS), limit=_MOST_ROWS),
                        _COUNTERS,
                        width=12,
                    ),
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        refresh="15m",
    )
