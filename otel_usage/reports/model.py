"""What a report is, what it is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Literal, TypeAlias

DEFAULT_LIMIT = 1000

Bots: TypeAlias = Literal["with", "without", "only"]
BOTS: Mapping[Bots, int] = {"with": -1, "without": 0, "only": 1}
"""Whether robots count, and the number that says so in the SQL."""

BUCKETS: Mapping[str, int] = {"minute": 60, "hour": 3600, "day": 86_400}
"""Names of the buckets of time, with their seconds."""
DEFAULT_BUCKET = "hour"

_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2149, 6, 6)
"""What ClickHouse's Date can hold."""
_LONGEST_VISIT = timedelta(days=31)
_NEVER = datetime(2262, 1, 1, tzinfo=timezone.utc)
"""Later than any event: what ClickHouse's DateTime64(9) can hold."""


@dataclass(frozen=True, slots=True)
class Report:
    """A named question; its SQL is `sql/<name>.sql`."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class ReportParameters:
    """The range and the choice of a report.

    `since` and `until` are aware datetimes, half open. Reports of days take whole UTC days: from the day of
    `since` to the day of `until`, which counts unless `until` is its very beginning.
    """

    since: datetime
    until: datetime
    service: str = ""
    """One service only; empty: all."""
    limit: int = DEFAULT_LIMIT
    """Most rows, at least 1."""
    funnel: str = ""
    """One funnel only; empty: all."""
    object_type: str = ""
    """Objects of one type only, such as `shop.Product`; empty: all."""
    stage: str = ""
    """Visits that were lost after one stage only; empty: after any."""
    trace_id: str = ""
    """Events of one trace only, 32 hex digits; empty: all."""
    bots: Bots = "with"
    """Whether robots count; `funnel`, `conversions` and `dropped` leave them out in any case."""
    bucket_seconds: int = BUCKETS[DEFAULT_BUCKET]
    """How long a bucket of a report over time is, at least 1."""
    open_since: datetime = _NEVER
    """The visit time-out before the present: a visit seen since then may still go on. By default all are over."""

    @property
    def first_day(self) -> date:
        """The UTC day of `since`."""
        return _bounded(self.since.astimezone(timezone.utc).date())

    @property
    def end_day(self) -> date:
        """The UTC day after the last one that counts."""
        until = self.until.astimezone(timezone.utc)
        return _bounded(until.date() if until.time() == time() else until.date() + timedelta(days=1))

    @property
    def first_day_read(self) -> date:
        """Where a report of visits begins to read, for those that began before the range."""
        return _bounded(max(self.first_day, _FIRST_DAY + _LONGEST_VISIT) - _LONGEST_VISIT)

    @property
    def end_day_read(self) -> date:
        """Where a report of visits stops reading, for those that went on after the range."""
        return _bounded(self.end_day + _LONGEST_VISIT)


def _bounded(day: date) -> date:
    return min(max(day, _FIRST_DAY), _LAST_DAY)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Rows in the order of the report."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_cut: bool = False
    """There are more rows than the limit let through."""
