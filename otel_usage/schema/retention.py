"""How long events are kept: the TTL of the table `events`. The views' states stay."""

from __future__ import annotations

import re

from otel_usage.clickhouse import ClickHouse

_TTL = re.compile(r"\bTTL toDateTime\(timestamp\) \+ toIntervalDay\((\d+)\)")


def retention_days_in_force(client: ClickHouse) -> int | None:
    """Return after how many days events are deleted; None when they are kept."""
    definition = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
    ).rows
    found = _TTL.search(definition[0][0]) if definition else None
    return int(found[1]) if found else None


def set_retention(client: ClickHouse, days: int) -> bool:
    """Let ClickHouse delete events after this many days, in its own time; return whether that was new."""
    if retention_days_in_force(client) == days:
        return False
    client.command(f"ALTER TABLE events MODIFY TTL toDateTime(timestamp) + INTERVAL {int(days)} DAY")
    return True
