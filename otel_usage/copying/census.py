"""What a database holds of each day and service, in numbers that tell whether another one holds the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import NamedTuple, TypeAlias

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema.states import StateTable

Unit: TypeAlias = tuple[date, str]
"""A UTC day and a service."""


class EventCount(NamedTuple):
    """The events of a unit."""

    events: int
    """Rows: an event that is stored twice is two."""
    digest: int
    """Of their ids, in whatever order they are stored."""


class StateCount(NamedTuple):
    """The states of a unit in one table."""

    keys: int
    digest: int
    """Of the keys and the results of their states."""
    counts: tuple[int, ...]
    """Sums of those columns that only grow."""

    def exceeds(self, other: StateCount | None) -> bool:
        """Return whether there is more of anything here than the events of `other` give."""
        if other is None:
            return True
        return any(
            mine > theirs
            for mine, theirs in zip(self[:1] + self.counts, other[:1] + other.counts, strict=True)
        )


def count_events(client: ClickHouse, days: Iterable[date] | None = None) -> dict[Unit, EventCount]:
    """Return the numbers of the events, of all days by default."""
    where = "1" if days is None else f"toDate(timestamp) IN ({_dates(days)})"
    rows = client.query(
        "SELECT toDate(timestamp) AS day, service_name, count(), sum(cityHash64(trace_id_bytes, span_id_bytes)) "
        f"FROM events WHERE {where} GROUP BY day, service_name"
    ).rows
    return {(day, service): EventCount(events, digest) for day, service, events, digest in rows}


class Inventory(NamedTuple):
    """All that a database holds."""

    events: dict[Unit, EventCount]
    states: dict[str, dict[Unit, StateCount]]
    """By the name of the table."""

    def keys(self, table: str) -> int:
        """Return how many keys a state table has."""
        return sum(count.keys for count in self.states[table].values())


def take_inventory(client: ClickHouse, tables: Collection[StateTable]) -> Inventory:
    """Count everything; the states first, so that each event they count is among the events, too."""
    months = state_months(client, tables)
    states: dict[str, dict[Unit, StateCount]] = {}
    for table in tables:
        found = states[table.name] = {}
        for month in months:
            found.update(count_states(client, table, month))
    return Inventory(count_events(client), states)


def count_distinct_events(client: ClickHouse, day: date, service: str) -> int:
    """Return how many events a unit has, those that are stored twice once."""
    rows = client.query(
        "SELECT uniqExact(trace_id_bytes, span_id_bytes) FROM events "
        f"WHERE service_name = {{service:String}} AND toDate(timestamp) = toDate('{day}')",
        {"service": service},
    ).rows
    return int(rows[0][0])


def state_months(client: ClickHouse, tables: Collection[StateTable]) -> list[int]:
    """Return the months of which there are states, such as 202603."""
    queries = (f"SELECT DISTINCT toYYYYMM(day) AS month FROM {table.name}" for table in tables)
    rows = client.query(f"SELECT DISTINCT month FROM ({' UNION ALL '.join(queries)}) ORDER BY month").rows
    return [row[0] for row in rows]


def count_states(client: ClickHouse, table: StateTable, month: int) -> dict[Unit, StateCount]:
    """Return the numbers of a month of a state table."""
    return _count(client, table, table.name, f"toYYYYMM(state.day) = {month}")


def count_given(client: ClickHouse, table: StateTable, days: Iterable[date]) -> dict[Unit, StateCount]:
    """Return the numbers that a state table would have if it were made of the events of some days."""
    events = f"(SELECT * FROM events WHERE toDate(timestamp) IN ({_dates(days)}))"
    return _count(client, table, f"({table.of_events(events)})", "1")


def count_bucket(client: ClickHouse, table: StateTable, where: str, unit: Unit) -> StateCount | None:
    """Return the numbers of some keys of one unit; None when it has none of them.

    Args:
        client: whose account may read the table.
        table: a state table.
        where: condition on the columns of its key, those of `state`.
        unit: the only one that the condition fits; its service is the parameter `service`.
    """
    return _count(client, table, table.name, where, service=unit[1]).get(unit)


def _count(
    client: ClickHouse, table: StateTable, rows: str, where: str, service: str = ""
) -> dict[Unit, StateCount]:
    sums = "".join(f", sum({column})" for column in table.counts)
    found = client.query(
        f"SELECT day, service_name, count(), sum(cityHash64(*)){sums} FROM ({table.merged(rows, where)}) "
        "GROUP BY day, service_name",
        {"service": service},
    ).rows
    return {(row[0], row[1]): StateCount(row[2], row[3], tuple(row[4:])) for row in found}


def _dates(days: Iterable[date]) -> str:
    return ", ".join(f"toDate('{day}')" for day in sorted(set(days)))
