"""The deduplication probe: does this server count a batch once when it is sent twice, in views too?"""

from __future__ import annotations

import secrets

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SchemaError
from otel_usage.schema.cluster import Form, OneServer

EXACT = "exact"
"""Result of a probe that found every batch counted once."""

_ROWS = 64
"""Of a batch: some for each shard."""


def probe_deduplication(client: ClickHouse, form: Form | None = None) -> str:
    """Insert one batch twice and a like one once, into a scratch table that feeds a view; return `EXACT`.

    Args:
        client: whose account may create and drop tables.
        form: of the database; on one server by default.

    Raises:
        SchemaError: the server counted otherwise.
    """
    form = form or OneServer()
    scratch = f"deduplication_probe_{secrets.token_hex(4)}"
    try:
        for statement in _create(scratch):
            for part in form.statements(statement):
                client.command(part)
        for token in ("first", "first", "second"):
            client.insert(scratch, ["n"], ["UInt8"], [range(_ROWS)], token=token)
        for part in (*form.settle(scratch), *form.settle(f"{scratch}_state")):
            client.command(part)
        found = client.query(
            f"SELECT (SELECT count() FROM {scratch}) / {_ROWS}, (SELECT sum(total) FROM {scratch}_state) / {_ROWS}"  # noqa: S608 - our own name
        ).rows[0]
    finally:
        for name in (f"{scratch}_mv", f"{scratch}_state", scratch):
            for part in form.drop(name):
                client.command(part)
    if found != (2, 2):
        raise SchemaError(
            f"This server does not count batches exactly once: of two batches, one of them sent twice, it has "
            f"{found[0]:g} in a table and {found[1]:g} in its view. otel_usage needs ClickHouse 24.8 or later, and an "
            "account whose profile does not switch insert deduplication off"
        )
    return EXACT


def _create(scratch: str) -> tuple[str, ...]:
    totals = f"SELECT n, count() AS total FROM {scratch} GROUP BY n"  # noqa: S608 - our own name
    window = "SETTINGS non_replicated_deduplication_window = 100"
    return (
        f"CREATE TABLE IF NOT EXISTS {scratch} (n UInt8) ENGINE = MergeTree ORDER BY n {window}",
        f"CREATE TABLE IF NOT EXISTS {scratch}_state (n UInt8, total SimpleAggregateFunction(sum, UInt64)) "
        f"ENGINE = AggregatingMergeTree ORDER BY n {window}",
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {scratch}_mv TO {scratch}_state AS {totals}",
    )
