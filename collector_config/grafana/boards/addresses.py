"""IP addresses and abuse: who asks most, who was refused, and who looks for what is not there."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import (
    CLIENT_ERRORS,
    SERVER_ERRORS,
    TEXT,
    Column,
    bars,
    names,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, report_sql

_ABUSE = (
    Column("client_address", "Address", TEXT),
    Column("country", "Country", TEXT, width=90),
    Column("requests", "Requests"),
    Column("refused", "Refused", thresholds=(10, 100)),
    Column("not_found", "Not found", thresholds=(20, 200)),
    Column("errors", "Server errors", thresholds=(1, 10)),
    Column("paths", "Paths"),
    Column("user_agents", "User agents"),
    Column("busiest_minute", "Busiest minute", thresholds=(300, 1000)),
    Column("bot_requests", "As a robot"),
    Column("last_seen", "Last seen", TEXT),
)
_ADDRESSES = (
    Column("client_address", "Address", TEXT),
    Column("country", "Country", TEXT, width=90),
    Column("requests", "Requests"),
    Column("visits", "Visits begun"),
    Column("first_seen", "First seen", TEXT),
    Column("last_seen", "Last seen", TEXT),
    Column("bot_requests", "As a robot"),
)


def addresses() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-addresses",
        "addresses and abuse",
        "Who asks most, who was refused, and who looks for what is not there. How much of an address is kept is the "
        "choice of OTEL_USAGE_IP.",
        [
            Section(
                "Abuse",
                [
                    rows(
                        "Addresses that stand out",
                        "The 100 addresses with most answers 401, 403, 429 and 404, then by their busiest minute of the clock. "
                        "Counts are exact; paths and user agents distinct, about 0.9 % off. A hash where only that is kept.",
                        report_sql("abuse", names(_ABUSE), limit=100),
                        _ABUSE,
                        height=12,
                    ),
                    over_time(
                        "Refused, not found and failed",
                        "Answers 400 to 499, and 500 and above, per bucket of time, exact.",
                        report_sql(
                            "traffic",
                            "time, sum(client_errors) AS client_errors, sum(errors) AS server_errors",
                            group_by="time",
                            order_by="time",
                            limit=ALL_ROWS,
                        ),
                        stacked=True,
                        lines=(CLIENT_ERRORS, SERVER_ERRORS),
                        height=10,
                    ),
                    bars(
                        "Busiest minutes",
                        "Most requests of an address within one minute of the clock, exact; the 20 highest.",
                        report_sql(
                            "abuse",
                            "if(client_address = '', 'unknown', client_address) AS address, busiest_minute",
                            order_by="busiest_minute DESC, address",
                            most=20,
                            limit=ALL_ROWS,
                        ),
                        width=12,
                    ),
                ],
            ),
            Section(
                "All addresses",
                [
                    rows(
                        "Addresses",
                        "The 200 addresses of most requests, exact, of the whole days in UTC that the range touches. Empty where "
                        "none is kept.",
                        report_sql("ips", names(_ADDRESSES), limit=200),
                        _ADDRESSES,
                        height=12,
                    )
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        annotations=[marks.changes()],
        since="now-24h",
    )
