"""What people write for a span of time: `7d`, `2026-11-01`, `2026-11-01T12:00:00+01:00`."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone

_AGO = re.compile(r"([0-9]{1,100})([mhdw])")
_WHOLE_DAYS = frozenset("dw")
_UNIT = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BEFORE_ALL = datetime.min.replace(tzinfo=timezone.utc)
_LATEST = datetime(2262, 1, 1, tzinfo=timezone.utc)
"""What ClickHouse's DateTime64(9) can hold."""


def parse_period(since: str, until: str | None, now: datetime | None = None) -> tuple[datetime, datetime]:
    """Return the beginning and the end, both in UTC.

    Args:
        since: an age such as `15m`, `24h`, `7d`, `4w`, or an ISO 8601 date or time; UTC when it names no zone.
        until: the same; None for now.
        now: the present, by the clock by default.

    Raises:
        ValueError: one of them cannot be read, or the end does not come after the beginning.
    """
    now = now or datetime.now(timezone.utc)
    start = _parse(since, now)
    end = now if until is None else _parse(until, now)
    if start >= end:
        raise ValueError(f"The period is empty: --since {since} does not lie before --until {until or 'now'}")
    return start, end


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """Return one moment, in UTC.

    Args:
        text: as for `parse_period`.
        now: the present, by the clock by default.

    Raises:
        ValueError: it cannot be read.
    """
    return _parse(text, now or datetime.now(timezone.utc))


def is_part_of_day(text: str | None, moment: datetime) -> bool:
    """Return whether somebody wrote a time that begins or ends within a day, other than `7d`, a date or nothing.

    Args:
        text: what was written; None for nothing.
        moment: what `parse_period` made of it.
    """
    if text is None or text.strip()[-1:] in _WHOLE_DAYS:
        return False
    return moment.time() != time()


def _parse(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text.strip())
    try:
        moment = now - int(ago[1]) * _UNIT[ago[2]] if ago else _parse_iso(text.strip())
    except OverflowError:
        moment = _BEFORE_ALL
    except ValueError:
        raise ValueError(
            f"{text[:50]!r} is no time, expected 15m, 24h, 7d, 4w, or a date such as 2026-11-01 or 2026-11-01T12:00:00"
        ) from None
    if ago and moment < _EARLIEST:
        raise ValueError(f"{text[:50]!r} is too far back, expected a time from 1970 on")
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError(f"{text[:50]!r} lies outside the years 1970 to 2261, which ClickHouse can hold")
    return moment


def _parse_iso(text: str) -> datetime:
    # Python 3.10 reads no Z.
    moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
