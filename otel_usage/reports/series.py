"""Requests, visits and conversions day by day or week by week, as charts want them: no gap where nothing happened.

The numbers are those of the reports `browsers`, `visits` and `conversions`, so that no metric is defined a second
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import run_report
from otel_usage.reports.model import ReportParameters

_ALL_ROWS = 1_000_000


class Period(NamedTuple):
    """Spans of equal length, of which the last ends with today."""

    spans: int
    days: int
    """In each span."""
    unit: str


PERIODS = {"7d": Period(7, 1, "day"), "4w": Period(4, 7, "week")}
"""By the name that a chart asks for."""


@dataclass(frozen=True, slots=True)
class Conversions:
    """How many visits entered a funnel in each span, and how many of them reached its last stage."""

    entered: list[int]
    converted: list[int]


@dataclass(frozen=True, slots=True)
class UsageSeries:
    """One number for each span, oldest first; robots are part of `requests` and `visits`."""

    period: str
    unit: str
    """`day` or `week`: seven days, whatever day of the week they begin with."""
    starts: list[date]
    """The first day of each span, in UTC."""
    requests: list[int]
    bot_requests: list[int]
    visits: list[int]
    bot_visits: list[int]
    conversions: dict[str, Conversions]
    """By funnel; robots are left out."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "period": self.period,
            "unit": self.unit,
            "starts": [start.isoformat() for start in self.starts],
            "requests": self.requests,
            "bot_requests": self.bot_requests,
            "visits": self.visits,
            "bot_visits": self.bot_visits,
            "conversions": {
                funnel: {"entered": counts.entered, "converted": counts.converted}
                for funnel, counts in self.conversions.items()
            },
        }


def read_series(
    client: ClickHouse,
    period: str,
    *,
    today: date,
    last_stages: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> UsageSeries:
    """Ask ClickHouse.

    Args:
        client: of the database that is asked.
        period: one of `PERIODS`.
        today: the last day, in UTC.
        last_stages: by funnel, the index of its last stage, for funnels that have one nobody reached yet; for
            others it is the last one that was reached within the period.
        settings: further ClickHouse settings of each query, such as a limit of time.

    Raises:
        KeyError: there is no such period.
        ClickHouseError: ClickHouse could not answer.
    """
    spans, days, unit = PERIODS[period]
    first = today - timedelta(days=spans * days - 1)
    starts = [first + timedelta(days=days * number) for number in range(spans)]
    asked = [_parameters(start, days) for start in starts]
    whole = _parameters(first, spans * days)
    visits, bot_visits = _visits(client, whole, first, PERIODS[period], settings)
    requests, bot_requests = [], []
    for parameters in asked:
        rows = _ask(client, "browsers", parameters, settings)
        requests.append(sum(row["requests"] for row in rows))
        bot_requests.append(sum(row["bot_requests"] for row in rows))
    return UsageSeries(
        period,
        unit,
        starts,
        requests,
        bot_requests,
        visits,
        bot_visits,
        _conversions(_ask(client, "conversions", whole, settings), first, PERIODS[period], last_stages or {}),
    )


def _visits(
    client: ClickHouse,
    parameters: ReportParameters,
    first: date,
    period: Period,
    settings: Mapping[str, Any] | None,
) -> tuple[list[int], list[int]]:
    visits, bot_visits = [0] * period.spans, [0] * period.spans
    for row in _ask(client, "visits", parameters, settings):
        span = (row["day"] - first).days // period.days
        visits[span] += row["visits"]
        bot_visits[span] += row["visits"] if row["is_bot"] else 0
    return visits, bot_visits


def _conversions(
    rows: list[dict[str, Any]], first: date, period: Period, last_stages: Mapping[str, int]
) -> dict[str, Conversions]:
    lasts = dict(last_stages)
    for row in rows:
        lasts[row["funnel"]] = max(row["stage_index"], lasts.get(row["funnel"], 0))
    found = {funnel: Conversions([0] * period.spans, [0] * period.spans) for funnel in sorted(lasts)}
    for row in rows:
        span, counts = (row["day"] - first).days // period.days, found[row["funnel"]]
        if row["stage_index"] == 1:
            counts.entered[span] += row["visits"]
        if row["stage_index"] == lasts[row["funnel"]]:
            counts.converted[span] += row["visits"]
    return found


def _ask(
    client: ClickHouse, report: str, parameters: ReportParameters, settings: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    result = run_report(client, report, parameters, settings)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def _parameters(start: date, days: int) -> ReportParameters:
    since = datetime.combine(start, time(), timezone.utc)
    return ReportParameters(since, since + timedelta(days=days), limit=_ALL_ROWS)
