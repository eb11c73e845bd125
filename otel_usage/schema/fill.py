"""Fills a state table that is new in a database which has events already."""

from __future__ import annotations

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema.rebuild import rebuild_tables
from otel_usage.schema.retention import expired_since
from otel_usage.schema.states import load_state


def fill_from_events(client: ClickHouse, view: str) -> tuple[str, int]:
    """Make the states of a view that has just been created, day by day; inserts wait during each day.

    What the view has counted meanwhile is made anew with the rest, so that nothing counts twice, and it can be
    run again after it was killed. Days of which events are being deleted by age are left out: they would give a
    part of what was.

    Returns:
        The name of the state table, and the number of days.
    """
    rows = client.query("SELECT DISTINCT toDate(timestamp) AS day FROM events ORDER BY day").rows
    table = load_state(client, view)
    expired = expired_since(client)
    days = [row[0] for row in rows if expired is None or row[0] > expired]
    for day in days:
        rebuild_tables(client, (table,), day)
    return table.name, len(days)
