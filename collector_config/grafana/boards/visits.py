"""Visits and users: how many come, how long they stay, and who signed in."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import SECONDS, SHARE, TEXT, Column, Line, names, number, over_time, rows
from collector_config.grafana.queries import ALL_ROWS, report_sql

_DAYS = "Whole days in UTC, by the day on which a visit began. Exact."

_BY_DAY = (
    Column("day", "Day", "time:YYYY-MM-DD", width=110),
    Column("service_name", "Service", TEXT),
    Column("visits", "Visits"),
    Column("confirmed", "Confirmed"),
    Column("single_request", "Of one request"),
    Column("requests", "Requests"),
    Column("requests_per_visit", "Requests a visit"),
    Column("median_seconds", "Median length", SECONDS),
    Column("is_bot", "Robots", "bool"),
)
_USERS = (
    Column("user_id", "User", TEXT),
    Column("visits", "Visits"),
    Column("requests", "Requests"),
    Column("first_seen", "First seen", TEXT),
    Column("last_seen", "Last seen", TEXT),
)


def _whole(columns: str) -> str:
    return report_sql("visits", columns, limit=ALL_ROWS)


def visits() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-visits",
        "visits and users",
        "How many visits begin, how long they are, and which users signed in.",
        [
            Section(
                "In this range",
                [
                    number("Visits", _DAYS, _whole("sum(visits) AS visits_begun"), width=6),
                    number(
                        "Confirmed",
                        f"Visits whose cookie came back. {_DAYS}",
                        _whole("sum(confirmed) AS visits_confirmed"),
                        width=6,
                    ),
                    number(
                        "Of one request",
                        f"Share of the visits that made a single request; 0 without visits. {_DAYS}",
                        _whole("if(sum(visits) = 0, 0, sum(single_request) / sum(visits)) AS share"),
                        SHARE,
                        width=6,
                    ),
                    number(
                        "Requests a visit",
                        f"Requests of these visits over visits; 0 without visits. {_DAYS}",
                        _whole("if(sum(visits) = 0, 0, sum(requests) / sum(visits)) AS each"),
                        width=6,
                    ),
                    over_time(
                        "Visits by day",
                        _DAYS,
                        report_sql(
                            "visits",
                            "toDateTime(day, 'UTC') AS time, sum(confirmed) AS confirmed_visits, "
                            "sum(visits) - sum(confirmed) AS other_visits",
                            group_by="day",
                            order_by="day",
                            limit=ALL_ROWS,
                        ),
                        stacked=True,
                        lines=(
                            Line("confirmed_visits", "Confirmed", "blue"),
                            Line("other_visits", "Not confirmed", "light-blue"),
                        ),
                        every="1d",
                    ),
                    over_time(
                        "Visitors over time",
                        "Visitors with requests or activities in the bucket of time, by service: distinct, about 0.9 % off, not "
                        "to be added up.",
                        report_sql("traffic", "time, service_name, visitors", limit=ALL_ROWS),
                        by_label="service_name",
                        every="1h",
                    ),
                ],
            ),
            Section(
                "In numbers",
                [
                    rows(
                        "Visits by day and service",
                        f"{_DAYS} The median length is from the first to the last request.",
                        _whole(names(_BY_DAY)),
                        _BY_DAY,
                        width=14,
                    ),
                    rows(
                        "Users",
                        f"The 200 users of most requests. A visit counts for the last user known in it. {_DAYS}",
                        report_sql("users", names(_USERS), limit=200),
                        _USERS,
                        width=10,
                    ),
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        annotations=[marks.changes()],
        since="now-30d",
        refresh="15m",
    )
