"""What a person needs beside the rows of a report: which options it takes, and why the rows may surprise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import load_sql
from otel_usage.reports.model import ReportParameters, ReportResult

_MOST_NAMES = 20

_SERVICES = """
SELECT DISTINCT service_name FROM
(
    SELECT service_name FROM events
    UNION ALL
    SELECT service_name FROM browsers_daily_state
)
ORDER BY service_name
"""
_FUNNELS = "SELECT DISTINCT funnel FROM funnel_stages_state ORDER BY funnel"
_STAGES = """
SELECT stage
FROM funnel_stages_state
WHERE {funnel:String} = '' OR funnel = {funnel:String}
GROUP BY stage
ORDER BY min(stage_index), stage
"""
_ROBOTS = """
SELECT count() FROM
(
    SELECT 1
    FROM funnel_stages_state AS state
    WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
        AND state.stage_index > 0
        AND ({service:String} = '' OR state.service_name = {service:String})
        AND ({funnel:String} = '' OR state.funnel = {funnel:String})
    GROUP BY state.service_name, state.visit_key_bytes
    HAVING max(state.is_bot) = 1
)
"""


def takes(report: str, parameter: str) -> bool:
    """Return whether the SQL of a report asks for a parameter, such as `funnel`."""
    return f"{{{parameter}:" in load_sql(report)


def notes(
    client: ClickHouse,
    report: str,
    parameters: ReportParameters,
    result: ReportResult,
    *,
    is_part_of_day: bool,
) -> Iterator[str]:
    """Yield a line for each thing that the rows do not say.

    Args:
        client: of the database that was asked.
        report: name of the report.
        parameters: with which it was asked.
        result: what it answered.
        is_part_of_day: the period was given as one that begins or ends within a day.
    """
    if is_part_of_day and takes(report, "first_day"):
        last_day = parameters.end_day - timedelta(days=1)
        days = f"{parameters.first_day} to {last_day}" if last_day > parameters.first_day else f"{last_day}"
        yield f"{report} counts whole days in UTC: {days}"
    if result.is_cut:
        yield f"only the first {parameters.limit} rows; ask for more with --limit"
    if not result.rows:
        yield from _unknown_names(client, parameters)
    elif report == "funnel" and not any(row[result.columns.index("visits")] for row in result.rows):
        yield from _robots_left_out(client, parameters)


def _unknown_names(client: ClickHouse, parameters: ReportParameters) -> Iterator[str]:
    asked = (
        ("service", parameters.service, _SERVICES),
        ("funnel", parameters.funnel, _FUNNELS),
        ("stage", parameters.stage, _STAGES),
    )
    for what, name, sql in asked:
        if not name:
            continue
        known = [row[0] for row in client.query(sql, {"funnel": parameters.funnel}).rows]
        if name not in known:
            yield _unknown_name(what, name, known)
            if what == "funnel":  # a funnel that is not there has no stages to name
                return


def _unknown_name(what: str, name: str, known: Sequence[str]) -> str:
    listed = ", ".join(known[:_MOST_NAMES]) + (", …" if len(known) > _MOST_NAMES else "")
    return f"there is no {what} {name!r}; there are: {listed}" if known else f"there is no {what} yet"


def _robots_left_out(client: ClickHouse, parameters: ReportParameters) -> Iterator[str]:
    bound = {
        "first_day": parameters.first_day.isoformat(),
        "end_day": parameters.end_day.isoformat(),
        "service": parameters.service,
        "funnel": parameters.funnel,
    }
    visits = client.query(_ROBOTS, bound).rows[0][0]
    if visits:
        yield "1 visit of a robot is left out" if visits == 1 else f"{visits} visits of robots are left out"
