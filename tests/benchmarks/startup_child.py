"""One measurement of the start-up benchmark, in a process of its own; prints JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_WATCHED = ("flask", "django", "clickhouse_connect", "ua_parser", "chdb")


def import_time(module: str, before: str) -> dict[str, object]:
    """Return the milliseconds that an import takes when the modules `before` it are there already."""
    for name in before.split():
        importlib.import_module(name)
    start = time.perf_counter()
    importlib.import_module(module)
    return {"milliseconds": (time.perf_counter() - start) * 1000}


def loaded_modules(module: str, before: str) -> dict[str, object]:
    """Return which of the heavy modules an import brings along."""
    importlib.import_module(module)
    return {"modules": [name for name in _WATCHED if name in sys.modules]}


def queue_memory(module: str, before: str) -> dict[str, object]:
    """Fill the queue of a processor whose exporter is stuck, and go on offering."""
    from otel_usage.model import Event
    from otel_usage.pipeline.exporters import Batch
    from otel_usage.pipeline.processor import UsageSpanProcessor
    from tests.benchmarks.request_child import DiscardingExporter
    from tests.benchmarks.traffic import Traffic

    class StuckExporter(DiscardingExporter):
        def __init__(self) -> None:
            self.reached = threading.Event()

        def freeze(self, events: Sequence[Event], token: str) -> Batch:
            self.reached.set()
            threading.Event().wait()
            raise AssertionError("nobody wakes it")

    traffic, exporter = Traffic(), StuckExporter()
    processor = UsageSpanProcessor(exporter)
    traffic.spans(1)  # the generator's own memory is not the queue's
    empty = _resident_bytes()
    full_size = 32_768 + 5000  # one batch is in flight
    for size in (5000, full_size - 5000):
        for span in traffic.spans(size):
            processor.on_end(span)
        exporter.reached.wait()
    full, dropped_before = _resident_bytes(), processor.accounting().dropped.get("queue_full", 0)
    for _ in range(20):
        for span in traffic.spans(5000):
            processor.on_end(span)
    after, dropped_after = _resident_bytes(), processor.accounting().dropped.get("queue_full", 0)
    return {
        "full_mb": (full - empty) / 1e6,
        "after_mb": (after - empty) / 1e6,
        "dropped_before": dropped_before,
        "dropped_after": dropped_after,
        "bytes_per_event": (full - empty) / full_size,
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    measure = {"import": import_time, "loaded": loaded_modules, "queue": queue_memory}[sys.argv[1]]
    print(json.dumps(measure(*sys.argv[2:])), flush=True)
    os._exit(0)  # the stuck exporter would be waited for
