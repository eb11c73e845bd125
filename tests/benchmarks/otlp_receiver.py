"""The OTLP receiver of `otel-usage serve`: spans per second, from the request to the stored row."""

from __future__ import annotations

import gzip
import statistics
import time
import uuid
from collections.abc import Sequence

import urllib3

from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters.otlp import BATCH_ID_HEADER, OtlpExporter
from tests.benchmarks.measure import spread
from tests.benchmarks.servers import running_serve
from tests.benchmarks.table import Table
from tests.benchmarks.traffic import Traffic


def run(*, quick: bool = False) -> list[Table]:
    """Return spans per second for large and small requests, plain and compressed."""
    rounds, spans = (2, 30_000) if quick else (5, 60_000)
    traffic = Traffic()
    rates: dict[tuple[int, bool], list[float]] = {
        (size, is_packed): [] for size in (5000, 512) for is_packed in (False, True)
    }
    with running_serve() as server:
        for _ in range(rounds):
            for (size, is_packed), measured in rates.items():
                count = spans if size == 5000 else spans // 5
                bodies = _bodies(traffic, count // size, size, is_packed)
                measured.append(_rate(f"{server.otlp_url}/v1/traces", bodies, size, is_packed))
    rows = [
        (
            f"{size:,} spans{', gzip' if is_packed else ''}",
            f"{statistics.median(measured):,.0f}",
            spread(measured),
        )
        for (size, is_packed), measured in rates.items()
    ]
    return [
        Table(
            "OTLP receiver",
            ("requests of", "spans/s", "spread"),
            rows,
            (
                f"Medians of {rounds} interleaved rounds; protobuf made beforehand, one connection, one request at a time.",
                "A request is answered when its spans are in `events` and every view.",
            ),
        )
    ]


def _bodies(traffic: Traffic, count: int, size: int, is_packed: bool) -> list[bytes]:
    make_events, exporter = EventMaker(), OtlpExporter("http://unused", {})
    bodies = []
    for spans in traffic.batches(count, size):
        events = [event for span in spans for event in make_events(span)]
        body: bytes = exporter.freeze(events, "").payload
        bodies.append(gzip.compress(body, 1) if is_packed else body)
    return bodies


def _rate(url: str, bodies: Sequence[bytes], size: int, is_packed: bool) -> float:
    headers = {"content-type": "application/x-protobuf"} | ({"content-encoding": "gzip"} if is_packed else {})
    with urllib3.PoolManager(maxsize=1) as pool:
        start = time.perf_counter()
        for body in bodies:
            response = pool.request(
                "POST", url, body=body, headers={**headers, BATCH_ID_HEADER: uuid.uuid4().hex}
            )
            if response.status != 200:
                raise RuntimeError(f"the receiver answered {response.status}")
        return len(bodies) * size / (time.perf_counter() - start)
