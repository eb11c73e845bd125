"""Table: events per second of `otel-usage copy` into an empty database, against the exporter that stored them."""

from __future__ import annotations

import gc
import statistics
import time

from otel_usage.clickhouse import connect
from otel_usage.copying import copy_database
from otel_usage.schema import migrate_database
from tests.benchmarks.exporter_throughput import exporter_rate
from tests.benchmarks.measure import spread
from tests.benchmarks.servers import running_serve
from tests.benchmarks.table import Table
from tests.benchmarks.traffic import Traffic

_BATCH_SIZE = 5000


def run(*, quick: bool = False) -> list[Table]:
    """Return the throughput of both."""
    rounds, batches = (2, 10) if quick else (5, 30)
    stored, copied, again = [], [], []
    with running_serve() as server:
        for number in range(rounds):
            source, target = (server.dsn_of(f"{side}_{number}") for side in ("source", "target"))
            for dsn in (source, target):
                migrate_database(dsn)
            spans = list(Traffic().batches(batches, _BATCH_SIZE))
            gc.collect()
            stored.append(exporter_rate(source, spans, _BATCH_SIZE))
            copied.append(_copy_rate(source, target, batches * _BATCH_SIZE))
            again.append(_copy_rate(source, target, batches * _BATCH_SIZE))
            _drop(server.dsn, f"source_{number}", f"target_{number}")
    ratios = [copy / exporter for copy, exporter in zip(copied, stored, strict=True)]
    return [
        Table(
            "Copying a database",
            ("exporter, events/s", "copy, events/s", "ratio", "spread", "copied again, events/s"),
            [
                (
                    f"{statistics.median(stored):,.0f}",
                    f"{statistics.median(copied):,.0f}",
                    f"{statistics.median(ratios):.2f}",
                    spread(copied),
                    f"{statistics.median(again):,.0f}",
                )
            ],
            (
                f"Medians of {rounds} interleaved rounds of {batches * _BATCH_SIZE:,} events, one `otel-usage serve` for both sides, all views.",
                "The copy is the whole command: both sides counted, the events, and every state compared in the end.",
            ),
        )
    ]


def _copy_rate(source: str, target: str, events: int) -> float:
    start = time.perf_counter()
    report = copy_database(source, target, say=lambda _: None)
    seconds = time.perf_counter() - start
    if report.faults or report.tables[0].in_target != events:
        raise RuntimeError(f"{report.tables[0].in_target} of {events} events were copied: {report.faults}")
    return events / seconds


def _drop(dsn: str, *databases: str) -> None:
    client = connect(dsn)
    for database in databases:
        client.command(f"DROP DATABASE {database} SYNC")
    client.close()
