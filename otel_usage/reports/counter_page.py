"""The sums of all counters, a page at a time, in the order of their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import load_sql
from otel_usage.reports.paging import read_page


class CounterPlace(NamedTuple):
    """Which counter of which object, and so where it stands in the order of all counters."""

    object_type: str
    object_id: str
    counter: str

    @classmethod
    def parse(cls, text: str) -> CounterPlace:
        """Return the place that was written as text.

        Raises:
            ValueError: it is none.
        """
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list) or len(parts) != 3 or not all(map(_is_text, parts)):
            raise ValueError(
                f"{text[:50]!r} is no place of a counter, expected one from a link of this list"
            ) from None
        return cls(*parts)

    def __str__(self) -> str:
        return json.dumps(self, separators=(",", ":"))


def _is_text(part: object) -> bool:
    # JSON may hold half of a character, which no database takes.
    return isinstance(part, str) and part.encode("utf-8", "ignore").decode() == part and "\0" not in part


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterFilter:
    """Which counters a list has, and which days they are added up over. An empty text stands for all."""

    first_day: date
    end_day: date
    """Both in UTC; half open."""
    object_type: str = ""
    object_id: str = ""
    counter: str = ""


class CounterSum(NamedTuple):
    """What one counter of one object came to."""

    object_type: str
    object_id: str
    counter: str
    value: int
    bot_value: int
    """How much of it came from robots."""

    @property
    def place(self) -> CounterPlace:
        """Where it stands."""
        return CounterPlace(self.object_type, self.object_id, self.counter)


class CounterPage(NamedTuple):
    """Some counters in the order of their names, and where the pages beside them begin."""

    sums: list[CounterSum]
    previous: CounterPlace | None
    next: CounterPlace | None


def read_counter_page(
    client: ClickHouse,
    wanted: CounterFilter,
    *,
    size: int,
    before: CounterPlace | None = None,
    after: CounterPlace | None = None,
    settings: Mapping[str, Any] | None = None,
) -> CounterPage:
    """Return the first counters, those right after a place, or those right before one.

    Args:
        client: of the database that is asked.
        wanted: which counters.
        size: most counters of a page.
        before: the place of the first counter of the page that was seen.
        after: the place of the last counter of the page that was seen; not together with `before`.
        settings: further ClickHouse settings, such as a limit of time.

    Raises:
        ClickHouseError: ClickHouse could not answer.
    """
    page = read_page(
        lambda limit, behind, ahead: _ask(client, wanted, limit, behind, ahead, settings),
        lambda counted: counted.place,
        size,
        behind=after,
        before=before,
    )
    return CounterPage(page.rows, page.previous, page.next)


def _ask(
    client: ClickHouse,
    wanted: CounterFilter,
    limit: int,
    after: CounterPlace | None,
    before: CounterPlace | None,
    settings: Mapping[str, Any] | None,
) -> list[CounterSum]:
    place = before or after or CounterPlace("", "", "")
    parameters = {
        "first_day": wanted.first_day,
        "end_day": wanted.end_day,
        "object_type": wanted.object_type,
        "object_id": wanted.object_id,
        "counter": wanted.counter,
        "direction": -1 if before is not None else int(after is not None),
        "place_type": place.object_type,
        "place_id": place.object_id,
        "place_counter": place.counter,
        "limit": limit,
    }
    result = client.query(
        load_sql("counter_page"), parameters, {"log_comment": "otel_usage counter page", **(settings or {})}
    )
    return [CounterSum(*row) for row in result.rows]
