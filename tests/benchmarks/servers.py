"""A running `otel-usage serve` with data of its own, the receiver of every benchmark that stores something."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_usage.clickhouse import ClickHouse, connect
from tests.serving import ServeProcess, start_serve


@contextmanager
def running_serve() -> Iterator[ServeProcess]:
    """Start a server on free ports with an empty directory; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="otel-usage-bench-") as directory:
        server = start_serve(Path(directory) / "data")
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.stop()


@contextmanager
def connection(dsn: str) -> Iterator[ClickHouse]:
    """Open a connection and close it."""
    client = connect(dsn)
    try:
        yield client
    finally:
        client.close()
