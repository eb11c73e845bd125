"""The state tables that views keep of `events`: what each is grouped by, and what it would hold of given events."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SchemaError
from otel_usage.schema.applied import pending
from otel_usage.schema.form import check_one_server
from otel_usage.schema.migration import load_migrations

_TARGET = re.compile(r" TO (?:`?\w+`?\.)?`?(\w+)`? ")
_SOURCE = re.compile(r"\bFROM (?:`?\w+`?\.)?`?events`?(?= |$)")
_SIMPLE = re.compile(r"SimpleAggregateFunction\((\w+), (.*)\)", re.DOTALL)
_STATE = re.compile(r"AggregateFunction\((\w+)(\([^()]*\))?, .*\)", re.DOTALL)
_PARTITION_KEY = "toYYYYMM(day)"


@dataclass(frozen=True, slots=True)
class StateTable:
    """One state table, with the query of the view that fills it."""

    name: str
    keys: tuple[str, ...]
    """Columns that it is grouped by, `day` among them."""
    merges: Mapping[str, str]
    """The other columns: what merges the values of one key; `state` names the rows."""
    sums: tuple[str, ...]
    """Those of them that are plain sums."""
    counts: tuple[str, ...]
    """Those of the sums that only grow."""
    _query: tuple[str, str]

    @property
    def column_names(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.keys, *self.merges)

    @property
    def columns(self) -> str:
        """All columns, for an INSERT."""
        return ", ".join(self.column_names)

    @property
    def key(self) -> str:
        """The columns of the key as one value."""
        return f"({', '.join(self.keys)})"

    def of_events(self, source: str) -> str:
        """Return the query of the view over other rows than those of `events`.

        Args:
            source: a query in parentheses with the columns of `events`.
        """
        return f"{self._query[0]}FROM {source} AS events{self._query[1]}"

    def merged(self, rows: str, where: str = "1") -> str:
        """Return the query for one row a key, with the results of its states.

        Args:
            rows: the table, or a query in parentheses with its columns.
            where: condition on its columns.
        """
        keys = ", ".join(f"state.{key} AS {key}" for key in self.keys)
        values = ", ".join(f"{merge} AS {column}" for column, merge in self.merges.items())
        group = ", ".join(f"state.{key}" for key in self.keys)
        return f"SELECT {keys}, {values} FROM {rows} AS state WHERE {where} GROUP BY {group}"


def load_states(client: ClickHouse) -> tuple[StateTable, ...]:
    """Return the state tables of the database, as its views define them.

    Raises:
        SchemaError: migrations are missing, the database is spread over a cluster, or a table is not as the
            migrations make it.
    """
    if pending(client):
        raise SchemaError(f"The schema of '{client.dsn.database}' is old. Run: otel-usage migrate")
    check_one_server(client)
    return _load(client, {migration.state_view for migration in load_migrations()})


def load_state(client: ClickHouse, view: str) -> StateTable:
    """Return the state table that one view fills, in a database that may lack migrations.

    Raises:
        SchemaError: there is no such view, or its table is not as the migrations make it.
    """
    found = _load(client, {view})
    if not found:
        raise SchemaError(f"There is no view '{view}' in '{client.dsn.database}'")
    return found[0]


def _load(client: ClickHouse, views: Collection[str]) -> tuple[StateTable, ...]:
    rows = client.query(
        "SELECT name, as_select, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name"
    ).rows
    definitions = _definitions(client)
    return tuple(_read(definitions, *row) for row in rows if row[0] in views)


class _Definition(NamedTuple):
    """What ClickHouse says of a table."""

    engine: str
    partition_key: str
    sorting_key: str
    types: dict[str, str]
    """Type by column."""


def _definitions(client: ClickHouse) -> dict[str, _Definition]:
    tables = client.query(
        "SELECT name, engine, partition_key, sorting_key FROM system.tables WHERE database = currentDatabase()"
    ).rows
    found = {row[0]: _Definition(row[1], row[2], row[3], {}) for row in tables}
    columns = client.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
    ).rows
    for table, column, type_ in columns:
        if table in found:
            found[table].types[column] = type_
    return found


def _read(definitions: Mapping[str, _Definition], view: str, select: str, definition: str) -> StateTable:
    target = _TARGET.search(definition)
    query = _SOURCE.split(select)
    if target is None or target[1] not in definitions or len(query) != 2:
        raise SchemaError(
            f"The view '{view}' is not as the migrations make it, expected one that reads events"
        )
    name, table = target[1], definitions[target[1]]
    if (table.engine, table.partition_key) != ("AggregatingMergeTree", _PARTITION_KEY):
        raise SchemaError(
            f"The table '{name}' is not as the migrations make it, expected an AggregatingMergeTree by "
            f"{_PARTITION_KEY}. Replicated and distributed tables cannot be rebuilt by otel_usage"
        )
    keys = tuple(table.sorting_key.split(", "))
    values = {column: type_ for column, type_ in table.types.items() if column not in keys}
    sums = {column: found[2] for column, type_ in values.items() if (found := _sum(type_))}
    return StateTable(
        name,
        keys,
        {column: _merge(name, column, type_) for column, type_ in values.items()},
        tuple(sums),
        tuple(column for column, type_ in sums.items() if type_.startswith("UInt")),
        (query[0], query[1]),
    )


def _sum(type_: str) -> re.Match[str] | None:
    found = _SIMPLE.fullmatch(type_)
    return found if found and found[1] == "sum" else None


def _merge(table: str, column: str, type_: str) -> str:
    if found := _SIMPLE.fullmatch(type_):
        return f"{found[1]}(state.{column})"
    if found := _STATE.fullmatch(type_):
        return f"{found[1]}Merge{found[2] or ''}(state.{column})"
    raise SchemaError(f"The column '{table}.{column}' is {type_}, expected an aggregate state")
