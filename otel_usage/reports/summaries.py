"""`get_sum`: hits and bytes by hour, day and month, as Flask-Track-Usage's summaries give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, SupportsIndex

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import load_sql
from otel_usage.reports.connection import usage_client
from otel_usage.reports.usage_arguments import Moment, UsageQuestion

PERIODS = ("hour", "day", "month")

_NONE = "none"
"""The key of what a request did not say."""
_HOUR_NS = 3_600_000_000_000
_LAST_HOUR = 65_536 * 24 - 1
"""The last one that ClickHouse's Date can hold, in 2149."""
_NO_LIMIT = 2**63 - 1
_EPOCH = datetime(1970, 1, 1)
_FIGURES = ("hits", "transfer")


class Summary(NamedTuple):
    """What is summed by what, and under which names it is given."""

    kind: str
    """As `summaries_state` has it."""
    key: str
    """Name of the key in a row."""
    figures: tuple[str, ...] = _FIGURES
    """Names of the sums in a row."""


SUMMARIES: Mapping[str, Summary] = {
    "sumUrl": Summary("url", "url"),
    "sumRemote": Summary("remote", "remote_addr"),
    "sumUserAgent": Summary("useragent", "user_agent_string"),
    "sumBrowser": Summary("browser", "browser"),
    "sumLanguage": Summary("language", "language"),
    "sumServer": Summary("server", "server_name"),
    "sumGeo": Summary("geo", "country"),
    "sumStatus": Summary("status", "status"),
    "sumVisitor": Summary("server", "server_name", (*_FIGURES, "visitors")),
    "sumBasic": Summary("server", "server_name", (*_FIGURES, "visitors", "visits", "errors")),
}
"""By the name of the hook."""


def get_sum(
    hook: object,
    start_date: Moment = None,
    end_date: Moment = None,
    limit: SupportsIndex | None = 500,
    page: SupportsIndex = 1,
    target: object = None,
    *,
    service: str | None = None,
    dsn: str | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the sums of a summary: `{"hour": [...], "day": [...], "month": [...]}`, each newest first, then by key.

    A row has `date`, the beginning of its period as a naive datetime in UTC, the key under its old name, `hits`
    and `transfer` in bytes. The bytes of a stream count when it has been sent. What a request did not say has the
    key "none". `sumVisitor` adds `visitors`, a distinct count with about 0.9 % error, and `sumBasic` also `visits`,
    those that began then, and `errors`, answers of 500 and above.

    Args:
        hook: `sumUrl`, `sumRemote`, `sumUserAgent`, `sumBrowser`, `sumLanguage`, `sumServer`, `sumVisitor`,
            `sumGeo`, `sumStatus` or `sumBasic`, as a class or by name; a name may end in s.
        start_date: without `end_date` the one hour, day and month in which it lies; with it, periods that begin
            then or later. Aware, or naive and then in UTC; a date stands for its beginning, a number for seconds
            since the epoch.
        end_date: periods that begin then or before, the same; a date stands for the end of its day.
        limit: most rows of each list, up to 100,000; None or 0 for all.
        page: its number, from 1 on (below that: 1).
        target: one key alone.
        service: one service alone, by its name; None for all.
        dsn: the ClickHouse to ask; None for that of `configure()` or of `OTEL_USAGE_DSN`.

    Raises:
        NotImplementedError: there is no such summary.
        TypeError: an argument is of a kind that cannot be used.
        ValueError: the limit or the page is out of range.
        SettingError: there is no DSN, or it cannot be used.
        ClickHouseError: ClickHouse does not answer, or cannot.
    """
    summary = _summary_of(hook)
    question = UsageQuestion.of(start_date, end_date, limit or 0, page, service)
    if not isinstance(question.page, int):
        raise ValueError(f"page is {page!r}, expected a whole number from 1 on")
    hours = _hours_asked_for(question, has_start=start_date is not None)
    client = usage_client(dsn)
    return {
        period: _read(client, summary, period, hours[period], question, question.page, target)
        for period in PERIODS
    }


@dataclass(frozen=True, slots=True)
class _Hours:
    """The hours of whole periods, as numbers since 1970; none when the last comes before the first."""

    first: int
    last: int


def _read(
    client: ClickHouse,
    summary: Summary,
    period: str,
    hours: _Hours,
    question: UsageQuestion,
    page: int,
    target: object,
) -> list[dict[str, Any]]:
    if hours.last < hours.first:
        return []
    result = client.query(
        load_sql("summary"),
        {
            "kind": summary.kind,
            "target": "" if target is None else str(target) or _NONE,
            "service": question.service,
            "period": period,
            "first_hour": hours.first,
            "last_hour": hours.last,
            "limit": question.size or _NO_LIMIT,
            "skipped": min((page - 1) * question.size, _NO_LIMIT),
        },
        {"log_comment": "otel_usage get_sum"},
    )
    return [_to_row(summary, dict(zip(result.columns, row, strict=True))) for row in result.rows]


def _to_row(summary: Summary, found: Mapping[str, Any]) -> dict[str, Any]:
    key = found["key"]
    row = {
        "date": found["date"].astimezone(timezone.utc).replace(tzinfo=None),
        summary.key: int(key) if summary.kind == "status" and key.isdigit() else key,
    }
    return row | {figure: found[figure] for figure in summary.figures}


def _summary_of(hook: object) -> Summary:
    name = hook if isinstance(hook, str) else str(getattr(hook, "__name__", type(hook).__name__))
    # Flask-Track-Usage's pages write sumUrls where its code has sumUrl.
    found = SUMMARIES.get(name) or SUMMARIES.get(name.removesuffix("s"))
    if found is None:
        raise NotImplementedError(f'Cannot find hook named "{name}"')
    return found


def _hours_asked_for(question: UsageQuestion, *, has_start: bool) -> dict[str, _Hours]:
    """Return the hours of the periods that are asked for, by the name of the period."""
    if has_start and question.end_ns is None:
        enclosing = {period: _beginning(period, question.since_ns) for period in PERIODS}
        return {period: _hours(period, begins, begins) for period, begins in enclosing.items()}
    found = {}
    for period in PERIODS:
        first = _beginning(period, question.since_ns)
        if _nanoseconds(first) < question.since_ns:
            first = _next(period, first)
        last = _at_hour(_LAST_HOUR) if question.end_ns is None else _beginning(period, question.end_ns)
        found[period] = _hours(period, first, last)
    return found


def _hours(period: str, first: datetime, last: datetime) -> _Hours:
    """Return the hours from the beginning of one period to the end of another one."""
    return _Hours(_hour_number(first), min(_hour_number(_next(period, last)) - 1, _LAST_HOUR))


def _beginning(period: str, moment_ns: int) -> datetime:
    hour = _at_hour(min(max(moment_ns // _HOUR_NS, 0), _LAST_HOUR))
    if period == "hour":
        return hour
    return hour.replace(hour=0) if period == "day" else hour.replace(day=1, hour=0)


def _next(period: str, begins: datetime) -> datetime:
    if period == "month":
        return (begins.replace(day=1) + timedelta(days=32)).replace(day=1)
    return begins + (timedelta(hours=1) if period == "hour" else timedelta(days=1))


def _at_hour(number: int) -> datetime:
    return _EPOCH + timedelta(hours=number)


def _hour_number(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(hours=1)


def _nanoseconds(moment: datetime) -> int:
    return _hour_number(moment) * _HOUR_NS
