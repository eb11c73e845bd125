"""Writes all that is held of a person, row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import OtelUsageError
from otel_usage.privacy.person import (
    ADDRESSES,
    EVENTS,
    REJECTED,
    SPANS,
    STAGES,
    VISITS,
    Person,
    named_person,
)
from otel_usage.privacy.selector import Selector
from otel_usage.schema.form import cluster_in_force

_VIEWS = {VISITS: "visits", STAGES: "funnel_stages", ADDRESSES: "ips_daily"}
"""By state table the view that people read, which shows all that the states hold."""
_ORDER = {
    EVENTS: "timestamp, event_id",
    REJECTED: "timestamp, event_id",
    VISITS: "started, visit_key, service_name",
    STAGES: "reached_at, visit_key, funnel, stage_index",
    ADDRESSES: "day, service_name, client_address, is_bot",
    SPANS: "Timestamp, TraceId, SpanId",
}
_TIMES = {EVENTS: "timestamp", REJECTED: "timestamp", SPANS: "Timestamp"}
"""By table of rows that are shown as they are: the column of their time."""


def export_person(client: ClickHouse, selector: Selector) -> Iterator[str]:
    """Yield each row held of the person as one line of JSON, without its line end; reads only.

    The key `table` says where the row is; states are shown by the views that people read. Ids are hex, times are
    ISO 8601 in UTC with nanoseconds. All is ASCII, so that nothing a client sent can steer a terminal.
    """
    person = named_person(selector)
    # The visits of a person are looked up once, for all shards.
    settings = {"distributed_product_mode": "global"} if cluster_in_force(client) else {}
    for table in _ORDER:
        if table in person.conditions:
            for query in _queries(client, person, table, settings):
                for row in client.stream_json(
                    query, person.parameters, {"date_time_output_format": "iso", **settings}
                ):
                    yield json.dumps({"table": _VIEWS.get(table, table), **row})


@contextmanager
def open_private_file(path: Path) -> Iterator[TextIO]:
    """Open a new file that only its owner can read; it goes again if it cannot be finished.

    Raises:
        OtelUsageError: the file is there already, or cannot be made.
    """
    try:
        # Not one that is there: its mode and its other names are not ours to know.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OtelUsageError(
            f"Cannot make the file '{path}': {(error.strerror or str(error)).lower()}. Name a new file"
        ) from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _queries(client: ClickHouse, person: Person, table: str, settings: Mapping[str, str]) -> Iterator[str]:
    condition, order = person.conditions[table], _ORDER[table]
    time = _TIMES.get(table)
    if time:
        columns = _readable_columns(client, table)
        # Month by month, because a server may hold a whole result in memory before it sends any of it.
        months = client.query(
            f"SELECT DISTINCT toYYYYMM({time}) AS month FROM {table} WHERE {condition} ORDER BY month",
            person.parameters,
            settings,
        ).rows
        for (month,) in months:
            yield (
                f"SELECT {columns} FROM {table} WHERE toYYYYMM({time}) = {month} AND {condition} ORDER BY {order}"
            )
    else:
        of_view = condition if table == ADDRESSES else f"visit_key IN {person.visits}"
        yield f"SELECT * FROM {_VIEWS[table]} WHERE {of_view} ORDER BY {order}"


def _readable_columns(client: ClickHouse, table: str) -> str:
    """Return the columns without those of raw bytes, which others say in hex."""
    rows = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
        "AND NOT startsWith(type, 'FixedString') ORDER BY position",
        {"table": table},
    ).rows
    return ", ".join(f"`{row[0]}`" for row in rows)
