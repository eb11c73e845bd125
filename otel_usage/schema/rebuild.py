"""Makes states anew from the rows of `events`: a part of a month of a state table, or a whole day of all of them.

The new content of a month is built beside the old one and then put in its place in one step (REPLACE PARTITION),
so that readers and a process that is killed see the one or the other. The table itself stays, and with it the
memory of the batches it has had: a batch that comes again still counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import OtelUsageError
from otel_usage.schema.hold import DEFAULT_LEASE_SECONDS, Hold, HoldLapsed, hold_inserts
from otel_usage.schema.retention import retention_days_in_force
from otel_usage.schema.states import StateTable, load_states

ONE_ROW_AN_EVENT = "LIMIT 1 BY trace_id_bytes, span_id_bytes"
"""Leaves one row of an event that a foreign client has stored twice."""

# Rows that are copied are not batches, and equal blocks are no second sending.
_COPY = {"insert_deduplicate": 0}
_LEASE_FACTORS = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class RebuiltTable:
    """What was done to one state table."""

    name: str
    before: int
    """Keys of the day."""
    after: int


def build_month(
    client: ClickHouse, table: StateTable, month: int, stays: str, sources: Sequence[tuple[str, str]]
) -> None:
    """Build the new content of one month beside the table; `swap_month` puts it in place.

    Args:
        client: whose account may create, drop and alter tables.
        table: the state table.
        month: as `toYYYYMM` says it, such as 202603.
        stays: condition on the table's columns, of the rows that stay as they are.
        sources: for each part of the rest the events that it is made of, a query in parentheses, and a
            condition on the table's columns, of the rows that are wanted.
    """
    beside = _beside(table)
    client.command(f"DROP TABLE IF EXISTS {beside} SYNC")
    client.command(f"CREATE TABLE {beside} AS {table.name}")
    insert = f"INSERT INTO {beside} ({table.columns}) SELECT {table.columns} FROM"
    client.command(f"{insert} {table.name} WHERE toYYYYMM(day) = {month} AND ({stays})", settings=_COPY)
    for events, wanted in sources:
        client.command(f"{insert} ({table.of_events(events)}) WHERE {wanted}", settings=_COPY)


def swap_month(client: ClickHouse, table: StateTable, month: int) -> None:
    """Put what `build_month` built into the place of the month."""
    if client.query(f"SELECT count() FROM {_beside(table)}").rows[0][0]:
        client.command(f"ALTER TABLE {table.name} REPLACE PARTITION ID '{month}' FROM {_beside(table)}")
    else:
        # Servers refuse to replace by nothing, and a partition that is dropped forgets which batches it has had.
        client.command(
            f"ALTER TABLE {table.name} DELETE IN PARTITION ID '{month}' WHERE 1",
            settings={"mutations_sync": 1},
        )
    client.command(f"DROP TABLE {_beside(table)} SYNC")


def rebuild_day(
    client: ClickHouse, day: date, *, lease_seconds: float = DEFAULT_LEASE_SECONDS
) -> tuple[RebuiltTable, ...]:
    """Make all states of one UTC day anew from its events, each counted once; inserts wait meanwhile.

    Run it when no writer has batches waiting: one that is stored in part only, and comes again, would add its
    states to those that were made of its rows.

    Args:
        client: whose account may create, drop and alter tables.
        day: a UTC day.
        lease_seconds: for how long inserts wait at most if this process is killed.

    Raises:
        OtelUsageError: events of that day are gone, or soon will be, so that counts would be lost.
        SchemaError: see `load_states`.
    """
    states = load_states(client)
    _check_retention(client, day)
    return rebuild_tables(client, states, day, lease_seconds=lease_seconds)


def rebuild_tables(
    client: ClickHouse,
    tables: Sequence[StateTable],
    day: date,
    *,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
) -> tuple[RebuiltTable, ...]:
    """Do the same to some tables; the events of the day must all be there.

    Raises:
        OtelUsageError: they are not, so that counts would be lost.
    """
    for factor in _LEASE_FACTORS:
        try:
            with hold_inserts(client, lease_seconds * factor) as hold:
                return tuple(_rebuild_table(client, hold, table, day) for table in tables)
        except HoldLapsed:
            if factor == _LEASE_FACTORS[-1]:
                raise
    raise HoldLapsed


def _rebuild_table(client: ClickHouse, hold: Hold, table: StateTable, day: date) -> RebuiltTable:
    of_day = f"day = toDate('{day}')"
    rows = f"SELECT * FROM events WHERE toDate(timestamp) = toDate('{day}')"
    hold.extend()
    _check_events_are_there(client, table, day, f"({rows})")
    before = _count_keys(client, table, of_day)
    hold.extend()
    month = day.year * 100 + day.month
    build_month(client, table, month, f"NOT ({of_day})", [(f"({rows} {ONE_ROW_AN_EVENT})", "1")])
    hold.extend()
    swap_month(client, table, month)
    return RebuiltTable(table.name, before, _count_keys(client, table, of_day))


def _check_retention(client: ClickHouse, day: date) -> None:
    days = retention_days_in_force(client)
    today = datetime.now(timezone.utc).date()
    if days is not None and day + timedelta(days=days) <= today:
        raise OtelUsageError(
            f"The events of {day} are being deleted, because they are kept for {days} days: its states cannot be "
            "made anew. They stay as they are"
        )


def _check_events_are_there(client: ClickHouse, table: StateTable, day: date, events: str) -> None:
    """Refuse if a count of the day is higher than all its events give."""
    sums = ", ".join(f"sum({column})" for column in table.counts)
    if not sums:
        return
    stored, counted = (
        client.query(f"SELECT {sums} FROM ({query})").rows[0]
        for query in (
            table.merged(table.name, f"state.day = toDate('{day}')"),
            table.merged(f"({table.of_events(events)})"),
        )
    )
    for column, there, given in zip(table.counts, stored, counted, strict=True):
        if there > given:
            raise OtelUsageError(
                f"{table.name} has {there} {column} on {day}, of which the events that are left give {given}: "
                "the others would be lost. The states stay as they are"
            )


def _count_keys(client: ClickHouse, table: StateTable, where: str) -> int:
    rows = client.query(f"SELECT uniqExact{table.key} FROM {table.name} WHERE {where}").rows
    return int(rows[0][0])


def _beside(table: StateTable) -> str:
    return f"rebuilt_{table.name}"
