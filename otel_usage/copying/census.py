"""What a database holds of each day and service, in numbers that tell whether another one holds the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import NamedTuple, TypeAlias

from otel_usage.clickhouse import ClickHouse
from otel_usage.copying.sides import ask
from otel_usage.importers.lookup import name_digits
from otel_usage.schema.states import StateTable

Unit: TypeAlias = tuple[date, str]
"""A UTC day and a service; bytes of its name that are no UTF-8 stand as lone surrogates."""

_EVENTS_A_QUERY = 1_000_000


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


def _count_events(client: ClickHouse) -> dict[Unit, EventCount]:
    rows = ask(
        client,
        "SELECT toDate(timestamp) AS day, hex(service_name) AS service, count(), "
        "sum(cityHash64(trace_id_bytes, span_id_bytes)) FROM events GROUP BY day, service",
    )
    return {(day, _name(digits)): EventCount(events, digest) for day, digits, events, digest in rows}


class Inventory(NamedTuple):
    """All that a database holds."""

    events: dict[Unit, EventCount]
    states: dict[str, dict[Unit, StateCount]]
    """By the name of the table."""

    def keys(self, table: str) -> int:
        """Return how many keys a state table has."""
        return sum(count.keys for count in self.states[table].values())

    def keys_of(self, table: str, unit: Unit) -> int:
        """Return how many keys it has of a unit."""
        count = self.states[table].get(unit)
        return count.keys if count else 0


def take_inventory(client: ClickHouse, tables: Collection[StateTable]) -> Inventory:
    """Count everything."""
    states: dict[str, dict[Unit, StateCount]] = {table.name: {} for table in tables}
    for days in day_groups(_state_days(client, tables), _count_events(client)):
        for name, counts in count_states(client, tables, days).items():
            states[name].update(counts)
    # The events last: a day that has just begun would else have states and no events, as one whose events are gone.
    return Inventory(_count_events(client), states)


def count_distinct_events(client: ClickHouse, day: date, service: str) -> int:
    """Return how many events a unit has, those that are stored twice once."""
    rows = ask(
        client,
        "SELECT uniqExact(trace_id_bytes, span_id_bytes) FROM events "
        f"WHERE service_name = unhex({{service:String}}) AND toDate(timestamp) = toDate('{day}')",
        {"service": name_digits(service)},
    )
    return int(rows[0][0])


def _state_days(client: ClickHouse, tables: Collection[StateTable]) -> list[date]:
    queries = (f"SELECT DISTINCT day FROM {table.name}" for table in tables)
    return [row[0] for row in ask(client, f"SELECT DISTINCT day FROM ({' UNION ALL '.join(queries)})")]


def day_groups(days: Iterable[date], events: Mapping[Unit, EventCount]) -> list[list[date]]:
    """Return the days in groups that can be asked for at once: a query holds a row for each visit of all its days.

    Args:
        days: UTC days, in any order.
        events: what there is of them. Nothing says how many states a day has whose events are gone.
    """
    by_day: Counter[date] = Counter()
    for (day, _), count in events.items():
        by_day[day] += count.events
    groups: list[list[date]] = []
    room = 0
    for day in sorted(set(days)):
        weight = by_day[day] or _EVENTS_A_QUERY // 8
        if not groups or weight > room:
            groups.append([])
            room = _EVENTS_A_QUERY
        groups[-1].append(day)
        room -= weight
    return groups


def count_states(
    client: ClickHouse, tables: Collection[StateTable], days: Iterable[date]
) -> dict[str, dict[Unit, StateCount]]:
    """Return the numbers of state tables on some days, by the name of the table."""
    where = f"state.day IN ({_dates(days)})"
    return _count(client, {table.name: _counting(table, table.name, where) for table in tables})


def count_given(
    client: ClickHouse, tables: Collection[StateTable], days: Iterable[date]
) -> dict[str, dict[Unit, StateCount]]:
    """Return the numbers that state tables would have if they were made of the events of some days."""
    events = f"(SELECT * FROM events WHERE toDate(timestamp) IN ({_dates(days)}))"
    return _count(
        client, {table.name: _counting(table, f"({table.of_events(events)})", "1") for table in tables}
    )


def count_bucket(client: ClickHouse, table: StateTable, where: str, unit: Unit) -> StateCount | None:
    """Return the numbers of some keys of one unit; None when it has none of them.

    Args:
        client: whose account may read the table.
        table: a state table.
        where: condition on the columns of its key, those of `state`.
        unit: the only one that the condition fits; its service is the parameter `service`.
    """
    found = _count(client, {table.name: _counting(table, table.name, where)}, service=unit[1])
    return found[table.name].get(unit)


def _counting(table: StateTable, rows: str, where: str) -> str:
    sums = ", ".join(f"sum({column})" for column in table.counts)
    return (
        f"SELECT '{table.name}' AS name, day, hex(service_name) AS service, count(), sum(cityHash64(*)), "
        f"CAST([{sums}], 'Array(UInt64)') FROM ({table.merged(rows, where)}) GROUP BY day, service"
    )


def _count(
    client: ClickHouse, queries: Mapping[str, str], service: str = ""
) -> dict[str, dict[Unit, StateCount]]:
    counts: dict[str, dict[Unit, StateCount]] = {name: {} for name in queries}
    rows = ask(client, " UNION ALL ".join(queries.values()), {"service": name_digits(service)})
    for name, day, digits, keys, digest, sums in rows:
        counts[name][day, _name(digits)] = StateCount(keys, digest, tuple(sums))
    return counts


def _name(digits: str) -> str:
    return bytes.fromhex(digits).decode("utf-8", "surrogateescape")


def _dates(days: Iterable[date]) -> str:
    return ", ".join(f"toDate('{day}')" for day in sorted(set(days)))
