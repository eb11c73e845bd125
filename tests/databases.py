"""Databases of the running server, one for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from otel_usage.clickhouse import ClickHouse, connect
from tests.serving import ServeProcess


@contextmanager
def new_database(serve: ServeProcess) -> Iterator[ClickHouse]:
    """Make an empty database and drop it at the end."""
    client = connect(serve.dsn_of(f"test_{uuid4().hex}"), create_database=True)
    try:
        yield client
    finally:
        client.command(f"DROP DATABASE IF EXISTS {client.dsn.database} SYNC")
        client.close()


STATE_TABLES = (
    "browsers_daily_state",
    "ips_daily_state",
    "pages_daily_state",
    "objects_daily_state",
    "counters_daily_state",
    "visits_state",
    "funnel_stages_state",
    "summaries_state",
)


def empty_tables(client: ClickHouse) -> None:
    """Remove all events and all that views made of them."""
    for table in ("events", "rejected_events", "imports", "otel_traces", *STATE_TABLES):
        client.command(f"TRUNCATE TABLE {table}")
