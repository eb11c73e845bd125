"""Side by side with Flask-Track-Usage 2.0.0: the same app and request, tracked by theirs and by ours."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks import old_package
from tests.benchmarks.blocks import Measure, block_child
from tests.benchmarks.measure import clean_environment, spread
from tests.benchmarks.request_child import WARM_UP
from tests.benchmarks.servers import running_serve
from tests.benchmarks.table import Table
from tests.benchmarks.track_usage_child import Tracking

POSTGRESQL = "TEST_POSTGRESQL_URL"
"""Names the variable with the URL of a PostgreSQL database; without it, its rows are left out."""
_MEMORY = Path("/dev/shm")
_BARE, _CONTRIB, _SQLITE = "bare Flask", "contrib + SDK + BSP, no-op exporter", "FTU, SQLite on disk"

Results = Mapping[str, list[dict[str, Any]]]


def variants(directory: Path, dsn: str) -> dict[str, Tracking]:
    """Return the ways to track, by name; `FTU` is Flask-Track-Usage.

    Args:
        directory: for the SQLite files.
        dsn: of a database that ours stores into.
    """
    named = {
        _BARE: Tracking("bare"),
        _CONTRIB: Tracking("contrib"),
        "+ otel_usage": Tracking("ours"),
        "+ otel_usage, storing in `serve`": Tracking("ours", dsn),
        "our `TrackUsage` + contrib": Tracking("extension"),
        "our `TrackUsage`, SDK without contrib": Tracking("extension", contrib=False),
        "the same, storage that does nothing": Tracking("extension", contrib=False, is_told=True),
        "FTU, storage that does nothing": Tracking("old"),
        _SQLITE: Tracking("old", f"sqlite:///{directory}/usage.db"),
    }
    if _MEMORY.is_dir():
        named["FTU, SQLite in memory file system"] = Tracking(
            "old", f"sqlite:///{_MEMORY}/{directory.name}.db"
        )
    url = postgresql_url()
    if url:
        named["FTU, PostgreSQL"] = Tracking("old", url)
        named["FTU, PostgreSQL, 5 summaries"] = Tracking("old", url, summaries=True)
    return named


def postgresql_url() -> str:
    """Return the URL of PostgreSQL for the driver that is installed with the old package; empty without one."""
    _, separator, rest = os.environ.get(POSTGRESQL, "").partition("://")
    return f"postgresql+psycopg2://{rest}" if separator else ""


def run(*, quick: bool = False) -> list[Table]:
    """Return the cost of each variant over interleaved blocks."""
    blocks, requests = (4, 200) if quick else (12, 200)
    environ, missing = _environment_of_old()
    results: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otel-usage-bench-")))
        stack.callback((_MEMORY / f"{directory.name}.db").unlink, missing_ok=True)
        named = variants(directory, stack.enter_context(running_serve()).dsn)
        children = {
            name: stack.enter_context(_start(tracking, environ))
            for name, tracking in named.items()
            if tracking.kind != "old" or not missing
        }
        for measure in children.values():
            measure(WARM_UP)
        for _ in range(blocks):
            for name, measure in children.items():
                results[name].append(measure(requests))
    return [_table(named, results, missing, f"{blocks} interleaved blocks of {requests} requests")]


def _environment_of_old() -> tuple[dict[str, str], str]:
    """Return the environment of the old package, and why it is not there."""
    try:
        return old_package.environment(), ""
    except old_package.NotInstalled as error:
        return {}, str(error)


def _start(tracking: Tracking, environ: Mapping[str, str]) -> AbstractContextManager[Measure]:
    environ = environ if tracking.kind == "old" else clean_environment()
    return block_child("track_usage_child", json.dumps(dataclasses.asdict(tracking)), environ)


def _table(named: Mapping[str, Tracking], results: Results, missing: str, how: str) -> Table:
    notes = [
        f"Medians of {how}, Flask's test client, a process for each variant; `over` is the median of the differences, block by block.",
        "`FTU` is Flask-Track-Usage 2.0.0 with SQLAlchemy 1.4, which stores before the response is sent; ours stores in a thread.",
        "`CPU` counts all threads of the app's process, but no database server.",
    ]
    if missing:
        notes.append(f"Flask-Track-Usage could not be installed: {missing}")
    if not postgresql_url():
        notes.append(f"{POSTGRESQL} is not set: PostgreSQL was left out.")
    return Table(
        "Side by side with Flask-Track-Usage",
        (
            "variant",
            "p50 µs",
            "× bare",
            "over bare µs",
            "over contrib µs",
            "p99 µs",
            "CPU µs",
            "SQL / commits",
            "spread",
        ),
        [(name, *_cells(name, tracking, results)) for name, tracking in named.items()],
        notes,
    )


def _cells(name: str, tracking: Tracking, results: Results) -> Iterator[str]:
    measured = results.get(name)
    if not measured:
        yield "not installed"
        yield from [""] * 7
        return
    yield f"{_median(measured, 'p50_us'):.0f}"
    yield f"{_median(measured, 'p50_us') / _median(results[_BARE], 'p50_us'):.2f}"
    yield _difference(measured, results[_BARE]) if name != _BARE else ""
    yield (
        _difference(measured, results[_CONTRIB])
        if tracking.kind == "ours" or (tracking.kind == "extension" and tracking.contrib)
        else ""
    )
    yield f"{_median(measured, 'p99_us'):.0f}"
    yield f"{_median(measured, 'cpu_us'):.0f}"
    yield measured[0]["sql"]
    yield spread([result["p50_us"] for result in measured])


def _difference(theirs: list[dict[str, Any]], base: list[dict[str, Any]]) -> str:
    differences = [one["p50_us"] - other["p50_us"] for one, other in zip(theirs, base, strict=True)]
    return f"{statistics.median(differences):+.0f}"


def _median(results: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(result[key] for result in results))
