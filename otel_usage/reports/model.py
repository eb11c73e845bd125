"""What a report is, what it is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

DEFAULT_LIMIT = 1000


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

    @property
    def first_day(self) -> date:
        """The UTC day of `since`."""
        return self.since.astimezone(timezone.utc).date()

    @property
    def end_day(self) -> date:
        """The UTC day after the last one that counts."""
        until = self.until.astimezone(timezone.utc)
        return until.date() if until.time() == time() else until.date() + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Rows in the order of the report."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_cut: bool = False
    """There are more rows than the limit let through."""
