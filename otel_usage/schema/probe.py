"""The deduplication probe: does this server count a batch once when it is sent twice, in views too?"""

from __future__ import annotations

import secrets

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SchemaError

EXACT = "exact"
"""Result of a probe that found every batch counted once."""


def probe_deduplication(client: ClickHouse) -> str:
    """Insert one batch twice and a like one once, into a scratch table that feeds a view; return `EXACT`.

    Raises:
        SchemaError: the server counted otherwise.
    """
    scratch = f"deduplication_probe_{secrets.token_hex(4)}"
    window = "SETTINGS non_replicated_deduplication_window = 100"
    try:
        client.command(f"CREATE TABLE {scratch} (n UInt8) ENGINE = MergeTree ORDER BY n {window}")
        client.command(
            f"CREATE TABLE {scratch}_state (n UInt8, total SimpleAggregateFunction(sum, UInt64)) "
            f"ENGINE = AggregatingMergeTree ORDER BY n {window}"
        )
        totals = f"SELECT n, count() AS total FROM {scratch} GROUP BY n"  # noqa: S608 - our own name
        client.command(f"CREATE MATERIALIZED VIEW {scratch}_mv TO {scratch}_state AS {totals}")
        for token in ("first", "first", "second"):
            client.insert(scratch, ["n"], ["UInt8"], [[1]], token=token)
        found = client.query(
            f"SELECT (SELECT count() FROM {scratch}), (SELECT sum(total) FROM {scratch}_state)"  # noqa: S608 - our own name
        ).rows[0]
    finally:
        for name in (f"{scratch}_mv", f"{scratch}_state", scratch):
            client.command(f"DROP TABLE IF EXISTS {name}")
    if found != (2, 2):
        raise SchemaError(
            f"This server does not count batches exactly once: of two batches, one of them sent twice, it has "
            f"{found[0]} in a table and {found[1]} in its view. otel_usage needs ClickHouse 24.8 or later, and an "
            "account whose profile does not switch insert deduplication off"
        )
    return EXACT
