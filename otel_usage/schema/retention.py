"""How long events, summaries and a Collector's spans are kept: the TTL of their tables. The other states stay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema.cluster import local_name
from otel_usage.schema.form import form_of


@dataclass(frozen=True, slots=True)
class Retained:
    """A table of which rows can be deleted by their age."""

    table: str
    name: str
    """What its rows are called."""
    time: str
    """The column that says how old a row is, as it stands in the rule."""
    setting: str


EVENTS = Retained("events", "events", "toDateTime(timestamp)", "OTEL_USAGE_RETENTION_DAYS")
SUMMARIES = Retained("summaries_state", "summaries", "day", "OTEL_USAGE_SUMMARY_RETENTION_DAYS")
SPANS = Retained(
    "otel_traces", "spans of a Collector", "toDateTime(Timestamp)", "OTEL_USAGE_TRACES_RETENTION_DAYS"
)


def retention_days_in_force(client: ClickHouse, table: str = EVENTS.table) -> int | None:
    """Return after how many days rows of a table are deleted, events by default; None when they are kept."""
    definition = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() "
        "AND name IN ({table:String}, {local:String}) AND position(engine, 'MergeTree') > 0",
        {"table": table, "local": local_name(table)},
    ).rows
    times = "|".join(re.escape(retained.time) for retained in (EVENTS, SUMMARIES, SPANS))
    found = (
        re.search(rf"\bTTL (?:{times}) \+ toIntervalDay\((\d+)\)", definition[0][0]) if definition else None
    )
    return int(found[1]) if found else None


def expired_since(client: ClickHouse, table: str = EVENTS.table) -> date | None:
    """Return the last day of which a table's rows are being deleted by age; None when it keeps them."""
    days = retention_days_in_force(client, table)
    return None if days is None else datetime.now(timezone.utc).date() - timedelta(days=days)


def set_retention(client: ClickHouse, days: int, retained: Retained = EVENTS) -> bool:
    """Let ClickHouse delete rows after this many days, in its own time; return whether that was new."""
    if retention_days_in_force(client, retained.table) == days:
        return False
    rule = f"ALTER TABLE {retained.table} MODIFY TTL {retained.time} + INTERVAL {int(days)} DAY"
    for statement in form_of(client).statements(rule):
        client.command(statement)
    return True


def apply_retention(client: ClickHouse, retained: Retained, days: int | None) -> str:
    """Do the same if a number of days is given, and return for people what holds now."""
    if days is not None:
        is_new = set_retention(client, days, retained)
        return f"{retained.name} are deleted after {days} days{', from now on' if is_new else ''}"
    present = retention_days_in_force(client, retained.table)
    if present is None:
        return f"{retained.name} are kept for ever"
    return f"{retained.name} are deleted after {present} days, as set before; {retained.setting} is unset now"
