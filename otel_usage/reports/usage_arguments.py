"""The arguments of `get_usage`, checked: dates as nanoseconds since the epoch, whatever the zone of the process."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import SupportsIndex, TypeAlias

from otel_usage.reports.event_page import Place

MOST_ROWS = 100_000
"""Of one page, which is held in memory."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NS_PER_MICROSECOND = 1000
_DAY_NS = 86_400_000_000_000
_LAST_NS = 9_214_646_400_000_000_000
"""The beginning of 2262, what ClickHouse's DateTime64(9) can hold."""


Moment: TypeAlias = datetime | date | float | None
"""A datetime, in UTC when it names no zone; a date; seconds since the epoch; or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """What is asked for."""

    since_ns: int
    """The first nanosecond that counts."""
    end_ns: int | None
    """The last nanosecond that counts; None for the present."""
    size: int
    """Most rows."""
    page: int | Place
    """The number of the page, or the place that it begins behind."""
    service: str
    """One service alone; empty for all."""

    @classmethod
    def of(
        cls,
        start_date: Moment,
        end_date: Moment,
        limit: SupportsIndex,
        page: SupportsIndex | str,
        service: str | None,
    ) -> UsageQuestion:
        """Return the arguments of `get_usage`, checked.

        Raises:
            TypeError: one is of a kind that cannot be used.
            ValueError: the limit is out of range, or the page is a text that no page gave.
        """
        return cls(
            since_ns=0 if start_date is None else _bounded(_nanoseconds("start_date", start_date)),
            end_ns=None if end_date is None else _bounded(_last_ns(end_date)),
            size=_checked_limit(limit),
            page=_checked_page(page),
            service=_checked_service(service),
        )


def _last_ns(end: datetime | date | float) -> int:
    first = _nanoseconds("end_date", end)
    if isinstance(end, date) and not isinstance(end, datetime):
        return first + _DAY_NS - 1
    # All of its microsecond, because a datetime cannot say more: the `date` of a row takes in the row.
    return first + _NS_PER_MICROSECOND - 1


def _checked_limit(limit: SupportsIndex) -> int:
    number = _whole_number("limit", limit)
    if not 0 <= number <= MOST_ROWS:
        raise ValueError(f"limit is {number}, expected 0 to {MOST_ROWS}; ask for more rows page by page")
    return number


def _checked_page(page: SupportsIndex | str) -> int | Place:
    if not isinstance(page, str):
        return max(1, _whole_number("page", page))
    if page.isascii() and page.isdigit() and len(page) < 19:  # as it stands in a query string
        return max(1, int(page))
    try:
        return Place.parse(page)
    except ValueError:
        raise ValueError(
            f"page is {page[:100]!r}, expected a whole number from 1 on, or the `next` of the page before"
        ) from None


def _checked_service(service: str | None) -> str:
    if service is not None and not isinstance(service, str):
        raise TypeError(f"service is {service!r}, expected the name of a service, or None for all")
    return service or ""


def _whole_number(name: str, value: SupportsIndex) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a whole number") from None


def _nanoseconds(name: str, moment: datetime | date | float) -> int:
    if isinstance(moment, datetime):
        aware = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
        return (aware - _EPOCH) // timedelta(microseconds=1) * _NS_PER_MICROSECOND
    if isinstance(moment, date):
        return _nanoseconds(name, datetime.combine(moment, time(), timezone.utc))
    try:
        if isinstance(moment, bool):
            raise TypeError
        # In microseconds first: those are what a float of today still tells apart.
        return round(moment * 1_000_000) * _NS_PER_MICROSECOND
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"{name} is {moment!r}, expected a datetime (UTC when it names no zone), a date, or seconds since the epoch"
        ) from None


def _bounded(nanoseconds: int) -> int:
    return min(max(nanoseconds, -1), _LAST_NS)
