"""The cluster form: turns the statements of the migrations into those of Replicated and Distributed tables.

Each table becomes one per shard, `X_local`, and one that spreads rows and gathers them, `X`; materialized views read
and write on their own shard, plain views stay on the public names. The migrations remain the only source: what this
module relies on is their form, which `tests/schema/test_migration_files.py` holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from otel_usage.errors import SettingError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")

_TABLE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)(?P<columns>.*)\bENGINE = (?P<engine>\w+)(?:\((?P<arguments>.*?)\))?"
    r"(?P<rest>\s.*)",
    re.DOTALL,
)
_MATERIALIZED_VIEW = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+)(?P<security>\s.*?)\bAS(?P<query>\s.*)",
    re.DOTALL,
)
_VIEW = re.compile(r"CREATE VIEW IF NOT EXISTS (?P<name>\w+) AS(?P<query>\s.*)", re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE (?P<name>\w+)(?P<commands>\s.*)", re.DOTALL)
_READ_FROM = re.compile(r"\b(?P<word>FROM|JOIN) (?P<name>[A-Za-z_]\w*)\b(?P<alias>\s+AS\s+\w+)?")
_NAMED_QUERY = re.compile(r"\b(\w+) AS\s*\(\s*SELECT\b")
_SORTING_KEY = re.compile(r"\bORDER BY (?:\((?P<columns>[\w, ]+)\)|(?P<column>\w+))")

_WINDOW = "non_replicated_deduplication_window"
_WINDOW_SECONDS = 7 * 24 * 3600
"""Replicated tables forget tokens by age too, on new servers after an hour; an outage of days must not end in doubles."""

_SHARDING_KEYS = {
    # What belongs to no visit stays with its trace.
    "events": "cityHash64(if(notEmpty(visit_key_bytes), visit_key_bytes, trace_id_bytes))",
    # The same bytes as in `events`, whose rows are made of these on the same shard.
    "otel_traces": (
        "cityHash64(multiIf("
        "match(SpanAttributes['session.id'], '^[0-9a-fA-F]{32}$'), unhex(SpanAttributes['session.id']), "
        "notEmpty(SpanAttributes['session.id']), "
        "substring(SHA256(substringUTF8(SpanAttributes['session.id'], 1, 256)), 1, 16), "
        "unhex(TraceId)))"
    ),
}
"""Those that keep a visit on one shard, and that the columns of a table do not tell."""


@dataclass(frozen=True, slots=True)
class OneServer:
    """The form that the migrations are written in."""

    @property
    def prepare(self) -> tuple[str, ...]:
        """What is to be run before all else: nothing."""
        return ()

    def statements(self, statement: str) -> tuple[str, ...]:
        """Return the statement as it is."""
        return (statement,)

    def drop(self, name: str) -> tuple[str, ...]:
        """Return what drops a table or view."""
        return (f"DROP TABLE IF EXISTS {name}",)

    def settle(self, name: str) -> tuple[str, ...]:
        """Return what must be run before all rows of a table can be read: nothing."""
        return ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The form over the servers of one cluster. Made by `parse_cluster`."""

    name: str
    database: str

    @property
    def prepare(self) -> tuple[str, ...]:
        """What is to be run before all else: every server needs the database."""
        return (f"CREATE DATABASE IF NOT EXISTS {self.database} {self._on_cluster} ENGINE = Atomic",)

    def statements(self, statement: str) -> tuple[str, ...]:
        """Return what stands for a statement of a migration, in the order in which it is to be run.

        Raises:
            ValueError: the statement has none of the forms that migrations have.
        """
        for form, turned in (
            (_TABLE, self._table),
            (_MATERIALIZED_VIEW, self._materialized_view),
            (_VIEW, self._view),
            (_ALTER, self._alter),
        ):
            found = form.fullmatch(statement)
            if found:
                return turned(found)
        raise ValueError(f"no statement of a migration: {statement[:100]!r}")

    def drop(self, name: str) -> tuple[str, ...]:
        """Return what drops a table or view, at once, so that its name is free in Keeper."""
        return tuple(
            f"DROP TABLE IF EXISTS {self.database}.{table} {self._on_cluster} SYNC"
            for table in (name, local_name(name))
        )

    def settle(self, name: str) -> tuple[str, ...]:
        """Return what waits until each replica of a table has what the others have."""
        return (f"SYSTEM SYNC REPLICA {self._on_cluster} {self.database}.{local_name(name)}",)

    @property
    def _on_cluster(self) -> str:
        return f"ON CLUSTER '{self.name}'"

    def _table(self, found: re.Match[str]) -> tuple[str, ...]:
        # Rows of a ReplacingMergeTree replace each other only where all of them are: one copy on all servers.
        is_single = found["engine"] == "ReplacingMergeTree"
        name = found["name"] if is_single else local_name(found["name"])
        place, replica = (f"/{self.database}/{name}", "{shard}-{replica}")
        if not is_single:
            place, replica = f"/{{shard}}{place}", "{replica}"
        arguments = f", {found['arguments']}" if found["arguments"] else ""
        # By name and not by {uuid}, so that a server that joins later finds the table of the others.
        engine = f"Replicated{found['engine']}('/clickhouse/tables{place}', '{replica}'{arguments})"
        table = (
            f"CREATE TABLE IF NOT EXISTS {self.database}.{name} {self._on_cluster}{found['columns']}"
            f"ENGINE = {engine}{_replicated_window(found['rest'])}"
        )
        if is_single:
            return (table,)
        return (table, self._distributed("CREATE TABLE IF NOT EXISTS", found["name"], _sharding_key(found)))

    def _distributed(self, create: str, name: str, sharding_key: str) -> str:
        return (
            f"{create} {self.database}.{name} {self._on_cluster} AS {self.database}.{local_name(name)}\n"
            f"ENGINE = Distributed('{self.name}', '{self.database}', '{local_name(name)}', {sharding_key})"
        )

    def _materialized_view(self, found: re.Match[str]) -> tuple[str, ...]:
        return (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {self.database}.{found['name']} {self._on_cluster} "
            f"TO {self.database}.{local_name(found['target'])}{found['security']}AS"
            f"{self._qualified(found['query'], is_local=True)}",
        )

    def _view(self, found: re.Match[str]) -> tuple[str, ...]:
        return (
            f"CREATE VIEW IF NOT EXISTS {self.database}.{found['name']} {self._on_cluster} "
            f"AS{self._qualified(found['query'], is_local=False)}",
        )

    def _alter(self, found: re.Match[str]) -> tuple[str, ...]:
        name, commands = found["name"], found["commands"]
        # The shards first: what the Distributed table knows and they do not, it would ask them for in vain.
        of_shards = f"ALTER TABLE {self.database}.{local_name(name)} {self._on_cluster}{commands}"
        if "ADD COLUMN" in commands:
            return (of_shards, f"ALTER TABLE {self.database}.{name} {self._on_cluster}{commands}")
        if "DROP CONSTRAINT" in commands:
            # It has the same one, and cannot be altered so. It holds no rows, so another one takes its place.
            return (of_shards, self._distributed("CREATE OR REPLACE TABLE", name, _SHARDING_KEYS[name]))
        return (of_shards,)

    def _qualified(self, query: str, *, is_local: bool) -> str:
        """Name the database of every table: each server reads the statement with a default of its own."""
        named_queries = set(_NAMED_QUERY.findall(query))

        def qualify(found: re.Match[str]) -> str:
            name = found["name"]
            if name in named_queries:
                return found[0]
            table = local_name(name) if is_local else name
            # Columns are named by it.
            alias = found["alias"] or f" AS {name}"
            return f"{found['word']} {self.database}.{table}{alias}"

        return _READ_FROM.sub(qualify, query)


Form = OneServer | Cluster


def parse_cluster(name: str, database: str) -> Cluster:
    """Return the cluster form of a database.

    Args:
        name: what `remote_servers` in the configuration of the servers calls the cluster.
        database: a checked name.

    Raises:
        SettingError: the name would not stand as it is in a statement.
    """
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"The cluster is named {name[:100]!r}, expected letters, digits, _, - and . that begin with a letter or _"
        )
    return Cluster(name, database)


def local_name(table: str) -> str:
    """Return the name of the part of a table that a shard has."""
    return f"{table}_local"


def turn(form: Form, statements: Sequence[str]) -> tuple[str, ...]:
    """Return what stands for all the statements in a form."""
    return tuple(part for statement in statements for part in form.statements(statement))


def _replicated_window(rest: str) -> str:
    window = rf"\b{_WINDOW} = (\d+)"
    return re.sub(
        window,
        rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {_WINDOW_SECONDS}",
        rest,
    )


def _sharding_key(table: re.Match[str]) -> str:
    """Return by what the rows of an insert are spread: by themselves, so that what is sent again finds its shard."""
    if table["name"] in _SHARDING_KEYS:
        return _SHARDING_KEYS[table["name"]]
    is_state = table["engine"].startswith("Aggregating")
    if is_state and "visit_key_bytes" in table["columns"]:
        # Where its view has put them.
        return "cityHash64(visit_key_bytes)"
    order = _SORTING_KEY.search(table["rest"])
    if not order:
        raise ValueError(f"nothing says by what the rows of {table['name']} are to be spread")
    key = f"cityHash64({order['columns'] or order['column']})"
    # Views have put the states of one key on every shard. A part left to chance, though it adds nothing, keeps the
    # engine from looking for them on the one shard where an insert would put them.
    return f"{key} + ignore(rand())" if is_state else key
