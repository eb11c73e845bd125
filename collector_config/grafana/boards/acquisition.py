"""Acquisition: where visits come from, and with what."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.panels import TEXT, Column, PanelBuilder, bars, names, over_time, rows
from collector_config.grafana.queries import ALL_ROWS, report_sql

_BROWSERS = (
    Column("browser", "Browser", TEXT),
    Column("requests", "Requests"),
    Column("visits", "Visits begun"),
    Column("visitors", "Visitors"),
    Column("bot_requests", "Requests of robots"),
)


def acquisition() -> Dashboard:
    """Return the dashboard."""
    return board(
        "otel-usage-acquisition",
        "acquisition",
        "Visits by referrer, campaign, country, device and browser, of the whole days in UTC that the range touches.",
        [
            Section(
                "Where visits come from",
                [
                    _by("referrer", "Referrers", "by the domain that sent the visitor", "direct"),
                    _by("campaign", "Campaigns", "by utm_source", "none"),
                    _by("country", "Countries", "by the country of the address", "unknown"),
                ],
            ),
            Section(
                "With what",
                [
                    _by("browser", "Browsers", "by browser", "unknown"),
                    _by("device", "Devices", "by type of device", "unknown"),
                    _by("os", "Systems", "by operating system", "unknown"),
                ],
            ),
            Section(
                "Where they begin, and how many",
                [
                    _by("entry_page", "Entry pages", "by the path of the first request", "unknown", width=12),
                    over_time(
                        "Visits begun by day",
                        "Visits by the day on which they began, exact. Whole days in UTC.",
                        report_sql(
                            "visits",
                            "toDateTime(day, 'UTC') AS time, service_name, sum(visits) AS visits_begun",
                            group_by="day, service_name",
                            order_by="day, service_name",
                            limit=ALL_ROWS,
                        ),
                        height=10,
                        stacked=True,
                        by_label="service_name",
                        every="1d",
                    ),
                    rows(
                        "Browsers in numbers",
                        "Whole days in UTC. Requests and visits begun are exact; visitors are distinct over the range, about "
                        "0.9 % off, and not to be added up.",
                        report_sql("browsers", names(_BROWSERS), limit=100),
                        _BROWSERS,
                    ),
                ],
            ),
        ],
        variables=[variables.service(), variables.bots()],
        annotations=[marks.changes()],
        since="now-30d",
        refresh="15m",
    )


def _by(kind: str, title: str, by: str, unsaid: str, *, width: int = 8) -> PanelBuilder:
    return bars(
        title,
        f"Visits that began in the range, exact, {by}; the 20 of most visits. Whole days in UTC.",
        report_sql(
            "acquisition",
            f"if(key = '', '{unsaid}', key) AS name, visits",
            where=f"kind = '{kind}'",
            order_by="visits DESC, name",
            limit=ALL_ROWS,
        ),
        width=width,
    )
