"""Funnels: how many visits come how far, and, from the stage that loses them, the trace of each lost visit."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana import marks, variables
from collector_config.grafana.board import Section, board
from collector_config.grafana.links import FUNNELS_BOARD, board_url, field, kept, trace_url
from collector_config.grafana.panels import (
    MILLISECONDS,
    SECONDS,
    SHARE,
    TEXT,
    Column,
    bars,
    names,
    number,
    over_time,
    rows,
)
from collector_config.grafana.queries import ALL_ROWS, report_sql, text_of

_CHOICE = ("service", "funnel")
_DEFINITION = (
    "A visit counts for a stage when it first reached all stages up to it in their order. Exact. Visits of robots are "
    "left out. Whole days in UTC, by the day on which a visit entered."
)

_LOST_AT = board_url(
    FUNNELS_BOARD,
    {
        "service": kept("service"),
        "funnel": field("funnel"),
        "stage": field("stage"),
        "visit_timeout": kept("visit_timeout"),
    },
)
_STAGES = (
    Column("funnel", "Funnel", TEXT),
    Column("stage_index", "No.", width=60),
    Column("stage", "Stage", TEXT, url=_LOST_AT, link_title="Visits that were lost after this stage"),
    Column("visits", "Visits"),
    Column("share_of_first", "Of those that entered", SHARE),
    Column("share_of_previous", "Of the stage before", SHARE),
    Column("median_seconds_from_previous", "Median time since then", SECONDS),
)
_LOST = (
    Column("stage", "Lost after", TEXT),
    Column("reached_at", "Reached", TEXT),
    Column("is_open", "May go on", "bool_yes_no", width=100),
    Column("last_seen", "Last request", TEXT),
    Column("last_path", "Went to", TEXT),
    Column("last_status_code", "Status", "none", width=80, thresholds=(400, 500)),
    Column("last_duration_ms", "Duration", MILLISECONDS, width=110),
    Column("requests", "Requests", width=100),
    Column("service_name", "Service", TEXT),
    Column("trace_id", "Trace", TEXT, url=trace_url(), link_title="Spans and events of the last request"),
)


def funnels() -> Dashboard:
    """Return the dashboard."""
    return board(
        FUNNELS_BOARD,
        "funnels and conversion",
        "How many visits come how far. A click on a stage lists the visits that were lost there; a click on a trace shows "
        "the spans of their last request.",
        [_summary(), _by_day(), _lost()],
        variables=[
            variables.service(),
            variables.funnel(),
            variables.stage(),
            variables.visit_timeout(),
        ],
        annotations=[marks.changes()],
        since="now-30d",
        refresh="15m",
    )


def _summary() -> Section:
    def whole(columns: str) -> str:
        return report_sql("funnel", columns, variables=_CHOICE, limit=ALL_ROWS)

    share = "if(sumIf(visits, stage_index = 1) = 0, 0, argMax(visits, stage_index) / sumIf(visits, stage_index = 1))"
    return Section(
        "How far visits come",
        [
            number("Entered", _DEFINITION, whole("sumIf(visits, stage_index = 1) AS entered"), height=5),
            number("Converted", _DEFINITION, whole("argMax(visits, stage_index) AS converted"), height=5),
            number(
                "Conversion",
                f"Visits at the last stage over visits that entered; 0 where nobody did. {_DEFINITION}",
                whole(f"{share} AS conversion"),
                SHARE,
                height=5,
            ),
            bars(
                "Visits by stage",
                _DEFINITION,
                report_sql("funnel", "stage, visits", variables=_CHOICE, order_by="funnel, stage_index"),
                width=12,
                height=5,
            ),
            rows(
                "Stages",
                f"{_DEFINITION} The median is that of the visits that came to the stage. A click on a stage lists those "
                "that were lost after it.",
                report_sql("funnel", names(_STAGES), variables=_CHOICE, order_by="funnel, stage_index"),
                _STAGES,
                height=8,
            ),
        ],
    )


def _by_day() -> Section:
    def by_day(columns: str) -> str:
        return report_sql(
            "conversions",
            columns,
            variables=("service",),
            where=f"funnel = {text_of('funnel')}",
            order_by="day, stage_index",
            limit=ALL_ROWS,
        )

    return Section(
        "Day by day",
        [
            over_time(
                "Visits at each stage",
                f"By the number of the stage. {_DEFINITION}",
                by_day(
                    "toDateTime(day, 'UTC') AS time, concat('stage ', toString(stage_index)) AS stage, visits"
                ),
                by_label="stage",
                every="1d",
            ),
            over_time(
                "Share of those that entered",
                f"By the number of the stage. {_DEFINITION}",
                by_day(
                    "toDateTime(day, 'UTC') AS time, concat('stage ', toString(stage_index)) AS stage, share_of_first"
                ),
                SHARE,
                by_label="stage",
                every="1d",
            ),
        ],
    )


def _lost() -> Section:
    return Section(
        "Lost visits",
        [
            rows(
                "Visits that were lost after a stage",
                "The latest 200 visits that came to a stage, in order, and not to the next one, with their last request. Those "
                "seen within the time-out at the top may go on: they come last. The trace leads to its spans, where otel_traces "
                "keeps them, and to its events. Where the request is no longer kept there is no trace. Visits of robots are "
                "left out. Whole days in UTC.",
                report_sql(
                    "dropped", names(_LOST), variables=(*_CHOICE, "stage", "visit_timeout"), limit=200
                ),
                _LOST,
                height=14,
            )
        ],
    )
