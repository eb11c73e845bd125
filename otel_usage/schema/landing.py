"""What becomes of the spans that land in `otel_traces`: they are kept, or handed to the views alone."""

from __future__ import annotations

import re
import secrets
from typing import Literal

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SchemaError
from otel_usage.schema.form import check_one_server
from otel_usage.schema.migration import load_migrations
from otel_usage.schema.retention import SPANS, apply_retention

Landing = Literal["mergetree", "null"]
"""Engine of the table."""
LANDINGS: tuple[Landing, ...] = ("mergetree", "null")

_TABLE, _NEXT = SPANS.table, f"{SPANS.table}_next"
_MAKES_TABLE = re.compile(rf"(CREATE TABLE IF NOT EXISTS|ALTER TABLE) {_TABLE}\b")

# As a Collector inserts: without a token, so that the server knows a batch again by its content.
_LIKE_COLLECTOR = {
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
}


def apply_landing(client: ClickHouse, wanted: Landing | None, retention_days: int | None) -> str:
    """Give the table the form that is wanted, if one is, and return for people what holds now.

    Args:
        client: whose account may create, drop and alter tables.
        wanted: the engine; None leaves the table as it is.
        retention_days: days after which spans are deleted; None leaves the present rule alone.

    Raises:
        SchemaError: spans would be lost, or batches not be counted once.
    """
    if wanted is not None and wanted != landing_in_force(client):
        check_one_server(client)
        if wanted == "null":
            _check_empty(client)
            _check_counts_once(client)
        _replace(client, wanted)
    if landing_in_force(client) == "null":
        return f"{SPANS.name} are not kept; what they say of usage is in events"
    return apply_retention(client, SPANS, retention_days)


def landing_in_force(client: ClickHouse) -> Landing:
    """Return the form that the table has."""
    rows = client.query(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": _TABLE},
    ).rows
    return "null" if rows == [("Null",)] else "mergetree"


def _replace(client: ClickHouse, wanted: Landing) -> None:
    """Put a table of the other form in its place in one step, so that no insert is refused or missed by a view."""
    client.command(f"DROP TABLE IF EXISTS {_NEXT} SYNC")
    if wanted == "null":
        client.command(f"CREATE TABLE {_NEXT} AS {_TABLE} ENGINE = Null")
    else:
        for migration in load_migrations():
            for statement in migration.statements:
                if _MAKES_TABLE.match(statement):
                    client.command(_MAKES_TABLE.sub(rf"\1 {_NEXT}", statement, count=1))
    # The views read whatever table has the name.
    client.command(f"EXCHANGE TABLES {_NEXT} AND {_TABLE}")
    client.command(f"DROP TABLE {_NEXT} SYNC")


def _check_empty(client: ClickHouse) -> None:
    spans = client.query(f"SELECT count() FROM {_TABLE}").rows[0][0]  # noqa: S608 - our own name
    if spans:
        raise SchemaError(
            f"{_TABLE} has {spans} spans, which a table that keeps none would lose. What they say of usage is in "
            f"events. If that will do, stop the Collector, run: TRUNCATE TABLE {_TABLE}, and then this again"
        )


def _check_counts_once(client: ClickHouse) -> None:
    """Insert one block twice and a like one once into a scratch table that keeps nothing and feeds a chain of views."""
    scratch = f"landing_probe_{secrets.token_hex(4)}"
    window = "SETTINGS non_replicated_deduplication_window = 100"
    totals = f"SELECT n, count() AS total FROM {scratch}_rows GROUP BY n"  # noqa: S608 - our own name
    try:
        for statement in (
            f"CREATE TABLE {scratch} (n UInt8, batch UInt8) ENGINE = Null",
            f"CREATE TABLE {scratch}_rows (n UInt8) ENGINE = MergeTree ORDER BY n {window}",
            f"CREATE TABLE {scratch}_state (n UInt8, total SimpleAggregateFunction(sum, UInt64)) "
            f"ENGINE = AggregatingMergeTree ORDER BY n {window}",
            f"CREATE MATERIALIZED VIEW {scratch}_rows_mv TO {scratch}_rows AS SELECT n FROM {scratch}",  # noqa: S608 - our own name
            f"CREATE MATERIALIZED VIEW {scratch}_state_mv TO {scratch}_state AS {totals}",
        ):
            client.command(statement)
        for batch in (1, 1, 2):
            client.command(f"INSERT INTO {scratch} VALUES (1, {batch})", settings=_LIKE_COLLECTOR)  # noqa: S608 - our own name
        found = client.query(
            f"SELECT (SELECT count() FROM {scratch}_rows), (SELECT sum(total) FROM {scratch}_state)"  # noqa: S608 - our own name
        ).rows[0]
    finally:
        for name in ("_state_mv", "_rows_mv", "_state", "_rows", ""):
            client.command(f"DROP TABLE IF EXISTS {scratch}{name}")
    if found != (2, 2):
        raise SchemaError(
            f"This server does not count the batches of a Collector once where {_TABLE} keeps no spans: of two "
            f"batches, one of them sent twice, it has {found[0]} in a table and {found[1]} in its view. "
            f"Keep the spans, and let OTEL_USAGE_TRACES_RETENTION_DAYS delete them early"
        )
