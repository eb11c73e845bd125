"""Robots: which come, and how much of the traffic is theirs."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import (
    BYTES,
    SHARE,
    TEXT,
    Column,
    Line,
    bars,
    names,
    number,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, HOUR, report_sql

_BOTH = ("service",)

_ROBOTS = (
    Column("bot_name", "Robot", TEXT),
    Column("requests", "Requests"),
    Column("addresses", "Addresses"),
    Column("paths", "Paths"),
    Column("client_errors", "Client errors"),
    Column("errors", "Server errors", thresholds=(1, 10)),
    Column("transfer", "Bytes sent", BYTES),
    Column("last_seen", "Last seen", TEXT),
)


def bots() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-bots",
        "bots",
        "Which robots come, and how much of the traffic is theirs.",
        [
            Section(
                "Robots and people",
                [
                    number(
                        "Requests of robots",
                        "Requests whose user agent is a robot's, exact.",
                        report_sql(
                            "traffic",
                            "sum(bot_requests) AS of_robots",
                            variables=_BOTH,
                            bucket_seconds=HOUR,
                            limit=ALL_ROWS,
                        ),
                        height=8,
                    ),
                    number(
                        "Share of all requests",
                        "Requests of robots over all requests; 0 without requests. Exact.",
                        report_sql(
                            "traffic",
                            "if(sum(requests) = 0, 0, sum(bot_requests) / sum(requests)) AS share",
                            variables=_BOTH,
                            bucket_seconds=HOUR,
                            limit=ALL_ROWS,
                        ),
                        SHARE,
                        height=8,
                        thresholds=(0.5, 0.9),
                    ),
                    over_time(
                        "Requests of robots and of people",
                        "Requests per bucket of time, exact.",
                        report_sql(
                            "traffic",
                            "time, sum(bot_requests) AS robots, sum(requests) - sum(bot_requests) AS people",
                            variables=_BOTH,
                            group_by="time",
                            order_by="time",
                            limit=ALL_ROWS,
                        ),
                        width=16,
                        stacked=True,
                        lines=(Line("robots", "Robots", "purple"), Line("people", "People", "blue")),
                    ),
                ],
            ),
            Section(
                "Which",
                [
                    bars(
                        "Robots by requests",
                        "The 20 robots of most requests, exact.",
                        report_sql(
                            "bots",
                            "if(bot_name = '', 'without a name', bot_name) AS robot, requests",
                            variables=_BOTH,
                            order_by="requests DESC, robot",
                            limit=20,
                        ),
                    ),
                    rows(
                        "Robots in numbers",
                        "Requests, errors and bytes are exact; addresses and paths distinct, about 0.9 % off.",
                        report_sql("bots", names(_ROBOTS), variables=_BOTH, limit=200),
                        _ROBOTS,
                        width=16,
                    ),
                ],
            ),
        ],
        variables=[variables.service()],
        annotations=[marks.changes()],
    )
