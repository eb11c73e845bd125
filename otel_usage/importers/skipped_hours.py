"""Undoes what clocks that were put forward did to times of Flask-Track-Usage.

It took the fields of a UTC time for those of a local one, and made a time of them and back. That gives the same UTC
fields, whatever the zone of the server, but for those that the local clocks skipped when they were put forward: they
come out as much later as the clocks were put forward. So 02:30 UTC became 03:30 on one day of the year in New York,
and the hour of 03:00 UTC holds the requests of two hours. In the order of their keys those that were moved come
first, and between them and the others the time jumps back.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

import sqlalchemy as sa

from otel_usage.importers.old_database import OldDatabase, raw
from otel_usage.importers.old_rows import RowRefused, to_nanoseconds

_SECOND_NS = 10**9
_DAY_NS = 86_400 * _SECOND_NS
_STEP = timedelta(minutes=15)
_SURELY_BACK = 6
"""A jump back by this part of what the clocks were put forward is none that parallel requests make."""


class DoubledHour(NamedTuple):
    """A time in which there are the rows of the time before it, too; nanoseconds since the epoch, of UTC fields."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """How much later the rows of the time before it are."""
        return self.end_ns - self.start_ns


class SkippedHours:
    """Corrects the times of one table.

    Args:
        database: of the old app.
        table: whose column `id` counts up in the order of time, and whose `datetime` is corrected.
        zone: of the old server.
    """

    def __init__(self, database: OldDatabase, table: sa.Table, zone: tzinfo) -> None:
        self._database = database
        self._table = table
        self._zone = zone
        self._by_day: dict[int, list[DoubledHour]] = {}
        self._last_moved: dict[DoubledHour, int | None] = {}

    def corrected(self, time_ns: int, row_id: object) -> int:
        """Return the time of a row as it was, as far as the rows around it tell."""
        day = time_ns // _DAY_NS
        hours = self._by_day.get(day)
        if hours is None:
            hours = self._by_day[day] = doubled_hours(day, self._zone)
        for hour in hours:
            if hour.start_ns <= time_ns < hour.end_ns and isinstance(row_id, int):
                if hour not in self._last_moved:
                    self._last_moved[hour] = self._find_last_moved(hour)
                last = self._last_moved[hour]
                return time_ns - hour.length_ns if last is not None and row_id <= last else time_ns
        return time_ns

    def _find_last_moved(self, hour: DoubledHour) -> int | None:
        """Return the id of the last row that was moved into an hour; None when no jump back tells."""
        column = self._table.columns.datetime
        query = sa.select(raw(self._table.columns.id, "id"), raw(column, "datetime")).where(
            column >= _moment(hour.start_ns), column < _moment(hour.end_ns)
        )
        last, widest = None, hour.length_ns // _SURELY_BACK
        before: tuple[int, int] | None = None
        for page in self._database.pages(query, self._table):
            for row in page:
                try:
                    time_ns = to_nanoseconds(row["datetime"], timezone.utc)
                except RowRefused:
                    continue
                if before is not None and before[1] - time_ns > widest:
                    last, widest = before[0], before[1] - time_ns
                before = (row["id"], time_ns)
        return last


def doubled_hours(day: int, zone: tzinfo) -> list[DoubledHour]:
    """Return the hours of a day that have rows of the time before them.

    Args:
        day: days since the epoch.
        zone: of the server.
    """
    found = []
    moment = _moment(day * _DAY_NS - _DAY_NS // 2)
    was_skipped = False
    while (start_ns := _fields_ns(moment)) < (day + 1) * _DAY_NS:
        put_forward = _put_forward(moment, zone)
        if put_forward and not was_skipped:
            length_ns = put_forward // timedelta(seconds=1) * _SECOND_NS
            found.append(DoubledHour(start_ns + length_ns, start_ns + 2 * length_ns))
        was_skipped = bool(put_forward)
        moment += _STEP
    return [hour for hour in found if hour.end_ns > day * _DAY_NS]


def _put_forward(moment: datetime, zone: tzinfo) -> timedelta | None:
    """Return how much the clocks were put forward when they skipped a local time; None when they did not."""
    before = moment.replace(tzinfo=zone, fold=0).utcoffset()
    after = moment.replace(tzinfo=zone, fold=1).utcoffset()
    return after - before if before is not None and after is not None and after > before else None


def _moment(fields_ns: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=fields_ns // _SECOND_NS)


def _fields_ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(seconds=1) * _SECOND_NS
