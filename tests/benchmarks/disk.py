"""Bytes on disk per event, of `events` and of all tables together, after everything is merged."""

from __future__ import annotations

from otel_usage.clickhouse import ClickHouse
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.processor import UsageSpanProcessor
from tests.benchmarks.servers import connection, running_serve
from tests.benchmarks.table import Table
from tests.benchmarks.traffic import Traffic

_BATCH = 5000
_PARTS = """
SELECT table, sum(rows), sum(bytes_on_disk)
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table
ORDER BY sum(bytes_on_disk) DESC
"""
_COLUMNS = """
SELECT name, data_compressed_bytes
FROM system.columns
WHERE database = currentDatabase() AND table = 'events'
ORDER BY data_compressed_bytes DESC
LIMIT 12
"""


def run(*, quick: bool = False) -> list[Table]:
    """Return bytes per event by table, and by the largest columns of `events`."""
    events = 100_000 if quick else 600_000
    with running_serve() as server, connection(server.dsn) as client:
        _fill(server.dsn, events)
        tables = [str(row[0]) for row in client.query(_PARTS).rows]
        for table in tables:
            client.command(f"OPTIMIZE TABLE {table} FINAL")
        return [_by_table(client, events), _by_column(client, events)]


def _fill(dsn: str, events: int) -> None:
    processor = UsageSpanProcessor(ClickHouseSpanExporter(dsn), batch_size=_BATCH)
    for spans in Traffic().batches(events // _BATCH, _BATCH):
        for span in spans:
            processor.on_end(span)
        if not processor.force_flush(60_000):
            raise RuntimeError("the exporter did not finish a batch within a minute")
    processor.shutdown()


def _by_table(client: ClickHouse, events: int) -> Table:
    parts = client.query(_PARTS).rows
    rows = [
        (str(table), f"{count:,}", f"{size / events:.1f}")
        for table, count, size in parts
        if size / events >= 0.05
    ]
    total = sum(size for _table, _count, size in parts)
    rows.append(("all tables", "", f"{total / events:.1f}"))
    return Table(
        "Bytes on disk",
        ("table", "rows", "bytes per event"),
        rows,
        (f"{events:,} events over {events / 6 / 86_400:.1f} days, every table merged to one part.",),
    )


def _by_column(client: ClickHouse, events: int) -> Table:
    rows = [(str(name), f"{size / events:.2f}") for name, size in client.query(_COLUMNS).rows]
    return Table("Bytes on disk: the largest columns of `events`", ("column", "bytes per event"), rows)
