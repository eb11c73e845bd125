"""What a process pays before its first request, and the memory that the queue may take."""

from __future__ import annotations

import statistics

from tests.benchmarks.measure import run_child, spread
from tests.benchmarks.table import Table

_IMPORTS = (
    ("otel_usage", ""),
    ("otel_usage.auto, after OpenTelemetry's SDK", "opentelemetry.sdk.trace"),
    ("otel_usage.flask, after Flask, SDK and contrib", "opentelemetry.instrumentation.flask opentelemetry.sdk.trace"),
)  # fmt: skip


def run(*, quick: bool = False) -> list[Table]:
    """Return import times in fresh processes, and the queue's memory."""
    return [_import_times(3 if quick else 9), _queue_memory()]


def _import_times(rounds: int) -> Table:
    times: dict[str, list[float]] = {label: [] for label, _before in _IMPORTS}
    for _ in range(rounds):
        for label, before in _IMPORTS:
            module = label.partition(",")[0]
            times[label].append(run_child("startup_child", "import", module, before)["milliseconds"])
    loaded = run_child("startup_child", "loaded", "otel_usage", "")["modules"]
    rows = [(label, f"{statistics.median(values):.1f}", spread(values)) for label, values in times.items()]
    return Table(
        "Import time",
        ("import of", "ms", "spread"),
        rows,
        (
            f"Medians of {rounds} fresh processes, compiled files in place.",
            f"Of flask, django, clickhouse_connect, ua_parser and chdb, `import otel_usage` loads: {', '.join(loaded) or 'none'}.",
        ),
    )


def _queue_memory() -> Table:
    found = run_child("startup_child", "queue", "", "")
    rows = [
        ("queue full (32,768 events)", f"{found['full_mb']:.0f}", f"{found['dropped_before']:,}"),
        ("after 100,000 more", f"{found['after_mb']:.0f}", f"{found['dropped_after']:,}"),
    ]
    return Table(
        "Memory of the app's side while nothing can be delivered",
        ("state", "MB above the empty process", "dropped and counted"),
        rows,
        (f"Resident memory; {found['bytes_per_event']:,.0f} bytes per waiting event.",),
    )
