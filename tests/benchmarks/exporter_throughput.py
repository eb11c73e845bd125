"""Table 2: events per second from spans to rows in `events` and every view, against the same rows prebuilt."""

from __future__ import annotations

import gc
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from otel_usage.clickhouse import ClickHouse, encode_native
from otel_usage.enrich import enrich
from otel_usage.model import Event
from otel_usage.pipeline.events import EventMaker, to_event
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.pipeline.rows import COLUMNS, to_columns
from tests.benchmarks.measure import spread
from tests.benchmarks.servers import connection, running_serve
from tests.benchmarks.table import Table
from tests.benchmarks.traffic import Traffic

_NAMES = [column.name for column in COLUMNS]
_TYPES = [column.type for column in COLUMNS]
_Result = TypeVar("_Result")


def run(*, quick: bool = False) -> list[Table]:
    """Return the throughput of both ways, and where the exporter's time goes."""
    rounds, events = (2, 50_000) if quick else (5, 150_000)
    traffic = Traffic()
    with running_serve() as server, connection(server.dsn) as client:
        rows = []
        for batch_size in (5000, 512):
            count = events if batch_size == 5000 else events // 5
            rows.append(_row(server.dsn, client, traffic, batch_size, count, rounds))
        stages = _stages(server.dsn, traffic, 4 if quick else 20)
    return [_throughput_table(rows, rounds), stages]


def _row(
    dsn: str, client: ClickHouse, traffic: Traffic, batch_size: int, count: int, rounds: int
) -> tuple[str, ...]:
    ours, prebuilt = [], []
    for _ in range(rounds):
        batches = list(traffic.batches(count // batch_size, batch_size))
        blocks = [_native_block(batch) for batch in batches]
        # An app does not keep a hundred thousand finished spans for the collector to walk over and over.
        gc.collect()
        gc.freeze()
        ours.append(exporter_rate(dsn, batches, batch_size))
        prebuilt.append(_prebuilt_rate(client, blocks, batch_size))
        gc.unfreeze()
    ratios = [own / theirs for own, theirs in zip(ours, prebuilt, strict=True)]
    return (
        f"{batch_size:,} events",
        f"{statistics.median(ours):,.0f}",
        f"{statistics.median(prebuilt):,.0f}",
        f"{statistics.median(ratios):.0%}",
        spread(ours),
    )


def exporter_rate(dsn: str, batches: Sequence[Sequence[ReadableSpan]], batch_size: int) -> float:
    """Return events per second of the processor as an app has it, from the first span's end to the last answer."""
    count = sum(len(batch) for batch in batches)
    processor = UsageSpanProcessor(
        ClickHouseSpanExporter(dsn), queue_size=count, batch_size=batch_size, flush_interval_seconds=0.01
    )
    start = time.perf_counter()
    for batch in batches:
        for span in batch:
            processor.on_end(span)
    if not processor.force_flush(300_000):
        raise RuntimeError("the exporter did not finish within five minutes")
    seconds = time.perf_counter() - start
    processor.shutdown()
    stored = processor.accounting().stored
    if stored != count:
        raise RuntimeError(f"{stored} of {count} events were stored")
    return count / seconds


def _prebuilt_rate(client: ClickHouse, blocks: Sequence[bytes], batch_size: int) -> float:
    start = time.perf_counter()
    for block in blocks:
        client.insert_native("events", _NAMES, block, token=uuid.uuid4().hex)
    return len(blocks) * batch_size / (time.perf_counter() - start)


def _native_block(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the rows of the spans as the exporter would send them."""
    make_events = EventMaker()
    return _encoded([event for span in spans for event in make_events(span)])


def _encoded(events: Sequence[Event]) -> bytes:
    return encode_native(_NAMES, _TYPES, to_columns(events))


def _stages(dsn: str, traffic: Traffic, batches: int) -> Table:
    """Time the parts of one batch of 5,000, one after the other in one thread."""
    exporter, make_events = ClickHouseSpanExporter(dsn), EventMaker()
    seconds: defaultdict[str, list[float]] = defaultdict(list)

    def timed(name: str, function: Callable[[], _Result]) -> _Result:
        start = time.perf_counter()
        result = function()
        seconds[name].append(time.perf_counter() - start)
        return result

    for spans in traffic.batches(batches, 5000):
        events: list[Event] = timed("span to event", lambda spans=spans: [to_event(span) for span in spans])  # type: ignore[misc]
        timed("enrich", lambda events=events: [enrich(event) for event in events])  # type: ignore[misc]
        timed("event maker, all of the above", lambda spans=spans: [make_events(span) for span in spans])  # type: ignore[misc]
        columns = timed("columns", lambda events=events: to_columns(events))  # type: ignore[misc]
        timed("encode, compress", lambda columns=columns: encode_native(_NAMES, _TYPES, columns))  # type: ignore[misc]
        batch = exporter.freeze(events, uuid.uuid4().hex)
        timed("send and wait", lambda batch=batch: exporter.send(batch))  # type: ignore[misc]
    exporter.close()
    rows = [(name, f"{statistics.median(times) / 5000 * 1e6:.2f}") for name, times in seconds.items()]
    return Table("Exporter: where the time of 5,000 events goes", ("part", "µs per event"), rows)


def _throughput_table(rows: Sequence[tuple[str, ...]], rounds: int) -> Table:
    return Table(
        "Exporter throughput",
        ("batches of", "exporter, events/s", "prebuilt Native, events/s", "ratio", "spread"),
        rows,
        (
            f"Medians of {rounds} interleaved rounds over HTTP to one `otel-usage serve`, lz4, a fresh token per batch, all views.",
            "The exporter starts from finished spans; the prebuilt blocks hold the very same rows. Client and server share two cores.",
        ),
    )
