"""Inserts rows of spans into `otel_traces`: as a batch with a token, or as the Collector's exporter sends it, without one."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from opentelemetry.sdk.trace import ReadableSpan

from otel_usage.clickhouse import ClickHouse, encode_native
from otel_usage.model import Event
from otel_usage.pipeline.events import to_span
from tests.collector_rows import COLLECTOR, TRACES_COLUMNS, Dialect, traces_rows

_COLUMNS, _TYPES = list(TRACES_COLUMNS), list(TRACES_COLUMNS.values())

COLLECTOR_SETTINGS = {
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
}
"""What our Collector configurations send with every insert."""


def land_events(client: ClickHouse, events: Sequence[Event], dialect: Dialect = COLLECTOR) -> None:
    """Insert the events as a Collector does that gets them from our OTLP exporter."""
    land_rows(client, traces_rows([to_span(event) for event in events], dialect))


def land_spans(client: ClickHouse, *spans: ReadableSpan, dialect: Dialect = COLLECTOR) -> None:
    """Insert spans of whatever scope."""
    land_rows(client, traces_rows(spans, dialect))


def land_rows(client: ClickHouse, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows as one batch of its own."""
    columns = [[row[column] for row in rows] for column in _COLUMNS]
    client.insert("otel_traces", _COLUMNS, _TYPES, columns, token=uuid4().hex)


def native_block(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the rows as one block of the Native format, as the Collector's exporter sends them."""
    import lz4.frame

    columns = [[row[column] for row in rows] for column in _COLUMNS]
    return bytes(lz4.frame.decompress(encode_native(_COLUMNS, _TYPES, columns)))


def send_block(client: ClickHouse, block: bytes) -> None:
    """Insert a block without a token: ClickHouse knows it again by its content."""
    names = ", ".join(f"`{name}`" for name in _COLUMNS)
    query = {"database": client.dsn.database, "query": f"INSERT INTO otel_traces ({names}) FORMAT Native"}
    connection = http.client.HTTPConnection(client.dsn.host, client.dsn.port)
    connection.request("POST", f"/?{urlencode(query | COLLECTOR_SETTINGS)}", block)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
