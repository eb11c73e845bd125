"""Compares the cluster form with the one-server form on the embedded engine, and prints what it found as JSON.

Run by `test_cluster_run.py` as a process of its own: `python -m tests.schema.cluster_run DIRECTORY`.

A shard is a database with the tables and views that `migrate --cluster` makes on each shard. What the Distributed
tables ask, on each shard, is a view that shows the rows of that shard's database. Inserts through a Distributed table
go to a cluster of one shard, because two that are the same engine would have the same tables.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import otel_usage.reports
from otel_usage.clickhouse import ClickHouse
from otel_usage.copying import copy_database, sides
from otel_usage.dsn import parse_dsn
from otel_usage.errors import OtelUsageError
from otel_usage.model import Event
from otel_usage.pipeline.events import to_span
from otel_usage.privacy import export_person, forget, parse_selector
from otel_usage.schema import load_migrations, migrate
from otel_usage.schema.cluster import Cluster, turn
from otel_usage.schema.rebuild import rebuild_day
from otel_usage.schema.retention import retention_days_in_force
from tests.builders import insert_events
from tests.collector_rows import TRACES_COLUMNS, traces_rows
from tests.grafana.macros import TimeRange, expand_rule
from tests.grafana.rules import read_rules
from tests.schema.cluster_engine import ONE_SHARD, TWO_SHARDS, ClusterEngine, open_engine, write_config
from tests.schema.cluster_traffic import build_traffic

PUSHED_DOWN = {"optimize_skip_unused_shards": 1, "optimize_distributed_group_by_sharding_key": 1}
_OF_VISITS = re.compile("visit|funnel|conversion|dropped|users")
"""Questions that put a visit together; the others add up what each shard has."""

BACKUP = "BACKUP DATABASE {database} TO File('otel_usage_2026-03-10/')"
REQUESTS_OF_STATE = 1_000_000
RETENTION_DAYS = 16_000

_SUMS = (
    "count() FROM events",
    "sum(requests) FROM browsers_daily",
    "sum(requests) FROM visits",
    "count() FROM funnel_stages",
    "sum(hits) FROM summaries_daily",
)

_REPORT_VALUES: Mapping[str, Any] = {
    "since": "2026-03-09 12:00:00.000000",
    "until": "2026-03-12 12:00:00.000000",
    "first_day": "2026-03-09",
    "end_day": "2026-03-13",
    "first_day_read": "2026-02-09",
    "end_day_read": "2026-04-13",
    "open_since": "2026-03-11 12:00:00.000000",
    "since_ns": 0,
    "until_ns": 2**62,
    "place_ns": 2**62,
    "before_ns": 2**62,
    "first_hour": 492_000,
    "last_hour": 493_000,
    "limit": 100_000,
    "skipped": 3,
    "direction": 0,
    "is_upwards": 0,
    "bucket_seconds": 3600,
    "client_address": "::",
    "object_types": ["shop.Product"],
    "counters": [],
    "event_names": ["request", "object_viewed"],
    "kind": "url",
    "period": "day",
    "place_trace_id": "ff" * 16,
    "place_span_id": "ff" * 8,
}
_BOTS = {"Int8": -1, "UInt8": 1}
_RULES_RANGE = TimeRange(
    datetime(2026, 3, 11, 9, tzinfo=timezone.utc), datetime(2026, 3, 11, 12, tzinfo=timezone.utc)
)


class Shards:
    """The tables of two shards, with the Distributed tables over them."""

    def __init__(self, open_database: Callable[[str], ClusterEngine], name: str) -> None:
        self._name = name
        self.over = open_database(name)
        self.parts = tuple(open_database(f"{name}_{number}") for number in (1, 2))
        form = Cluster(TWO_SHARDS, name)
        for migration in load_migrations():
            for statement in turn(form, migration.statements):
                self._run(statement)
        for table in names(self.parts[0], "MergeTree"):
            if table.endswith("_local"):
                self._show_rows(table)

    def spread(self, source: ClickHouse, table: str, shard: str = "") -> None:
        """Copy the rows of a table, each to the shard that its key says.

        Args:
            source: the database that has the rows.
            table: name of a table.
            shard: expression for the number of the shard, from 0; by default that of the Distributed table.
        """
        columns = ", ".join(
            f"`{row[0]}`"
            for row in source.query(f"DESCRIBE TABLE {table}").rows
            if row[2] not in ("ALIAS", "MATERIALIZED")
        )
        for number, part in enumerate(self.parts):
            part.command(
                f"INSERT INTO {table}_local ({columns}) SELECT {columns} FROM {source.dsn.database}.{table} "
                f"WHERE ({shard or self.shard_of(table)}) = {number}"
            )

    def shard_of(self, table: str) -> str:
        """Return the expression for the shard of a row, by what the Distributed table says."""
        rows = self.over.query(
            "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
            {"table": table},
        ).rows
        found = re.fullmatch(r"Distributed\('\w+', '\w+', '\w+', (.*)\)", rows[0][0])
        assert found, rows
        return f"{found[1]} % 2"

    def visits_on_both(self) -> int:
        """Return how many visits have states on both shards."""
        visits = "SELECT DISTINCT service_name, visit_key_bytes FROM visits_state_local"
        return len(set.intersection(*(set(part.query(visits).rows) for part in self.parts)))

    def _run(self, statement: str) -> None:
        """Run what belongs to a shard on both, and the rest over them."""
        if not re.search(r"\w+_local ON CLUSTER|CREATE MATERIALIZED VIEW", statement):
            # What the shards show is made last, so that the columns come from a shard itself.
            return self.over.command(statement.replace(f" AS {self._name}.", f" AS {self._name}_1."))
        for number, part in enumerate(self.parts, 1):
            part.command(statement.replace(f"{self._name}.", f"{self._name}_{number}."))

    def _show_rows(self, table: str) -> None:
        columns = ", ".join(f"`{row[0]}`" for row in self.parts[0].query(f"DESCRIBE TABLE {table}").rows)
        rows = " UNION ALL ".join(
            f"SELECT {columns} FROM {self._name}_{number}.{table} WHERE shardNum() = {number}"
            for number in (1, 2)
        )
        self.over.command(f"CREATE VIEW {table} AS {rows}")


def main(directory: Path) -> None:
    """Run everything in a directory of its own and print the findings."""
    config = write_config(directory)

    def open_database(name: str) -> ClusterEngine:
        return open_engine(directory / "data", config, name)

    alone = open_database("alone")
    migrate(alone)
    insert_events(alone, build_traffic(250))
    by_key, grown = Shards(open_database, "spread"), Shards(open_database, "grown")
    by_key.spread(alone, "events")
    # What came before the second shard was added lies on the first.
    grown.spread(
        alone, "events", f"timestamp < toDateTime('2026-03-11 00:00:00') ? 0 : {grown.shard_of('events')}"
    )
    # Spans of the same visits, by way of a Collector.
    _insert_spans(alone, build_traffic(100, seed=8))
    for shards in (by_key, grown):
        shards.spread(alone, "otel_traces")
        # One copy on all servers, beside the shards.
        shards.over.command("CREATE TABLE schema_migrations AS alone.schema_migrations")
        shards.over.command("INSERT INTO schema_migrations SELECT * FROM alone.schema_migrations")
    found: dict[str, Any] = {
        "rows": [part.query("SELECT count() FROM events_local").rows[0][0] for part in by_key.parts],
        "visits on both shards": by_key.visits_on_both(),
        "visits on both shards of a grown cluster": grown.visits_on_both(),
        "visits of a grown cluster, grouped on the shards": [
            grown.over.query("SELECT count() FROM visits", settings=settings).rows[0][0]
            for settings in ({}, PUSHED_DOWN)
        ],
        **_compare(alone, by_key, grown),
        "exported": [_export(alone), _export(by_key.over)],
        **_use(open_database("used")),
        "copied": _copy(open_database, "alone", "used"),
        "to be copied back": _copy(open_database, "spread", "alone", is_dry_run=True),
    }
    print(json.dumps(found, default=str))


def _compare(alone: ClickHouse, by_key: Shards, grown: Shards) -> dict[str, Any]:
    different, compared = [], []
    for name, sql, parameters in _questions(alone):
        expected = alone.query(sql, parameters).rows
        compared.append([name, len(expected)])
        for way, over, settings in (
            ("by key", by_key.over, {}),
            ("by key, grouped on the shards", by_key.over, PUSHED_DOWN),
            ("grown", grown.over, {}),
        ):
            if over is grown.over and not _OF_VISITS.search(name):
                continue
            if difference := _difference(expected, over, sql, parameters, settings):
                different.append([way, name, difference])
    return {"compared": compared, "different": different}


def _questions(client: ClickHouse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for view in names(client, "View"):
        # Those with the names of another package are one and the same query for each kind of key.
        if not view.startswith("flask_usage") or view.startswith("flask_usage_server"):
            yield f"view {view}", f"SELECT * FROM {view} ORDER BY ALL", {}
    for table in ("events", "rejected_events", "otel_traces"):
        yield f"table {table}", f"SELECT * FROM {table} ORDER BY ALL", {}
    for file in sorted(files(otel_usage.reports).joinpath("sql").iterdir(), key=lambda file: file.name):
        sql = file.read_text("utf-8")
        yield f"report {file.name.removesuffix('.sql')}", sql, _values(re.findall(r"\{(\w+):([^{}]+)\}", sql))
    for rule in read_rules():
        yield f"rule {rule.uid}", expand_rule(rule.sql, _RULES_RANGE), {}


def _values(parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
    # An empty name means all of them.
    return {
        name: _BOTS[type_] if name == "bots" else _REPORT_VALUES.get(name, "") for name, type_ in parameters
    }


def _difference(
    expected: Sequence[Any],
    over: ClickHouse,
    sql: str,
    parameters: dict[str, Any],
    settings: Mapping[str, Any],
) -> str:
    try:
        rows = over.query(sql, parameters, settings).rows
    except OtelUsageError as error:
        return str(error)
    if rows == expected:
        return ""
    unequal = (pair for pair in zip(expected, rows, strict=False) if pair[0] != pair[1])
    return f"{len(expected)} rows and {len(rows)}, first {next(unequal, '')}"


def _insert_spans(client: ClickHouse, events: Sequence[Event]) -> None:
    rows = traces_rows([to_span(event) for event in events])
    values = [[row[column] for row in rows] for column in TRACES_COLUMNS]
    client.insert("otel_traces", list(TRACES_COLUMNS), list(TRACES_COLUMNS.values()), values, token="spans")


def _use(client: ClusterEngine) -> dict[str, Any]:
    """Migrate in the cluster form, insert through the Distributed tables, and ask for what is not offered."""
    first = migrate(client, cluster=ONE_SHARD, retention_days=RETENTION_DAYS).lines()
    events = build_traffic(20, seed=1)
    counts = []
    for _ in range(2):
        insert_events(client, events, token="one batch")
        _insert_state(client, token="one state")
        counts.append([int(client.query(f"SELECT {sum_}").rows[0][0]) for sum_ in _SUMS])
    return {
        "migrated": first,
        "migrated again": migrate(client, cluster=ONE_SHARD).lines(),
        "tables": names(client, ""),
        "events restored": _restore(client),
        "events sent": len(events),
        "counts": counts,
        "retention": retention_days_in_force(client),
        "refused": {
            "without --cluster": _refusal(lambda: migrate(client)),
            "another cluster": _refusal(lambda: migrate(client, cluster=TWO_SHARDS)),
            "rebuild": _refusal(lambda: rebuild_day(client, date(2026, 3, 10))),
            "forget": _refusal(lambda: forget(client, parse_selector(user="user 1"))),
        },
    }


def _copy(
    open_database: Callable[[str], ClusterEngine], source: str, target: str, *, is_dry_run: bool = False
) -> dict[str, Any]:
    """Copy one database into another one, of which the engine needs its configuration to open them."""
    read, written = open_database(source), open_database(target)
    expected = _count(read) + _count(written)
    directory = str(read.dsn.path)
    vars(sides)["connect"] = lambda dsn, **_: open_database(parse_dsn(dsn).database)
    report = copy_database(
        f"chdb://{directory}/{source}",
        f"chdb://{directory}/{target}",
        is_dry_run=is_dry_run,
        say=lambda _: None,
    )
    return {
        "faults": report.faults,
        "tables": report.tables,
        "compared": report.compared,
        "events": _count(written),
        "expected": expected,
    }


def _count(client: ClickHouse, rows: str = "events") -> int:
    return int(client.query(f"SELECT count() FROM {rows}").rows[0][0])


def _restore(client: ClickHouse) -> int:
    backup = BACKUP.format(database=client.dsn.database)
    client.command(backup)
    client.command(backup.replace("BACKUP", "RESTORE").replace(" TO ", " AS restored FROM "))
    return _count(client, "restored.events_local")


def _export(client: ClickHouse) -> list[str]:
    return list(export_person(client, parse_selector(user="user 1")))


def _insert_state(client: ClickHouse, token: str) -> None:
    """Insert a state of a day of which the events are gone, as a copy does."""
    row = {
        "service_name": "old",
        "day": date(2020, 1, 1),
        "browser": "Firefox",
        "requests": REQUESTS_OF_STATE,
    }
    types = ["String", "Date", "String", "UInt64"]
    client.insert("browsers_daily_state", list(row), types, [[value] for value in row.values()], token=token)


def _refusal(refused: Callable[[], object]) -> str:
    try:
        return f"not refused: {refused()}"
    except OtelUsageError as error:
        return str(error)


def names(client: ClickHouse, engine: str) -> list[str]:
    """Return the tables and views of the database of which the engine's name ends so, but none that fills."""
    rows = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, {engine:String}) "
        "AND engine != 'MaterializedView' ORDER BY name",
        {"engine": engine},
    ).rows
    return [row[0] for row in rows]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    # The engine with a configuration does not end by itself.
    os._exit(0)
