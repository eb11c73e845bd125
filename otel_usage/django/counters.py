"""What the counters of an object say: their sums, and one of them day by day, answered by ClickHouse."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta, timezone
from typing import NamedTuple

from django.db import models

from otel_usage import attributes as names
from otel_usage.django.registry import site
from otel_usage.instrumentation.api import object_attributes
from otel_usage.reports import load_sql
from otel_usage.reports.connection import usage_client

_FIRST_DAY, _END_DAY = date(1970, 1, 1), date(2149, 6, 6)
"""What ClickHouse's Date can hold."""


class DayValue(NamedTuple):
    """What a counter gained on one day."""

    day: date
    """In UTC."""
    value: int


def counters_for(
    obj: object, *, since: date | None = None, until: date | None = None, bots: bool = True, service: str = ""
) -> Counter[str]:
    """Return the value of each counter of an object; one that never counted is 0.

    What was counted shows within about a second, when its batch was stored. One query; ask for a page of objects
    with the report `counters` instead.

    Args:
        obj: an object of a model, or whatever `otel_usage.increment` takes.
        since: the first day that counts, or a time on it; None for all. A time without zone is UTC.
        until: the end, exclusive; a time within a day takes in the whole day, in UTC. None for all.
        bots: whether what robots did counts.
        service: one service only; empty: all.

    Returns:
        The declared counters first, in their order, then others. Any other name gives 0.

    Raises:
        SettingError: there is no DSN, or it cannot be used.
        ClickHouseError: ClickHouse could not answer.
    """
    declared = site.counters(obj) if isinstance(obj, models.Model) and site.is_registered(obj) else ()
    found: Counter[str] = Counter(dict.fromkeys(declared, 0))
    first_day, end_day = _first_day(since), _end_day(until)
    result = usage_client().query(
        load_sql("object_counters"),
        {**_object_parameters(obj, bots=bots, service=service), "first_day": first_day, "end_day": end_day},
        {"log_comment": "otel_usage counters_for"},
    )
    found.update({str(name): int(value) for name, value in result.rows})
    return found


def counter_series(
    obj: object,
    counter: str,
    since: date | None = None,
    until: date | None = None,
    *,
    bots: bool = True,
    service: str = "",
) -> list[DayValue]:
    """Return what a counter of an object gained on each day, by the time at which it was counted.

    Args:
        obj: as for `counters_for`.
        counter: name of the counter.
        since: as there; None: the first day on which it counted.
        until: as there; None: the end of the last day on which it counted.
        bots: as there.
        service: as there.

    Returns:
        Every day of the range in order, also those on which it did not count, with 0. Days are those of UTC.

    Raises:
        SettingError: there is no DSN, or it cannot be used.
        ClickHouseError: ClickHouse could not answer.
    """
    first_day, end_day = _first_day(since), _end_day(until)
    result = usage_client().query(
        load_sql("object_counter_days"),
        {
            **_object_parameters(obj, bots=bots, service=service),
            "counter": counter,
            "first_day": first_day,
            "end_day": end_day,
        },
        {"log_comment": "otel_usage counter_series"},
    )
    values: dict[date, int] = {day: int(value) for day, value in result.rows}
    if values:
        first_day = first_day if since is not None else min(values)
        end_day = end_day if until is not None else max(values) + timedelta(days=1)
    elif since is None or until is None:
        return []
    days = (first_day + timedelta(days=number) for number in range((end_day - first_day).days))
    return [DayValue(day, values.get(day, 0)) for day in days]


def _object_parameters(obj: object, *, bots: bool, service: str) -> dict[str, object]:
    attributes = object_attributes(obj)
    return {
        "object_type": attributes[names.OBJECT_TYPE],
        "object_id": attributes[names.OBJECT_ID],
        "bots": int(bots),
        "service": service,
    }


def _first_day(since: date | None) -> date:
    return _FIRST_DAY if since is None else max(_utc(since).date(), _FIRST_DAY)


def _end_day(until: date | None) -> date:
    if until is None:
        return _END_DAY
    moment = _utc(until)
    whole = moment.date() if moment.time() == time() else moment.date() + timedelta(days=1)
    return min(whole, _END_DAY)


def _utc(moment: date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), timezone.utc)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
