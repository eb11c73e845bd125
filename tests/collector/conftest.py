"""Fixtures of the tests that run a real OpenTelemetry Collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from tests.collector.process import CollectorProcess
from tests.collector.programs import program
from tests.collector.store import Store

StartCollector = Callable[..., CollectorProcess]


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector of `collector_config/builder.yaml`, or that of the variable `OTELCOL`."""
    return program("otelcol", "OTELCOL")


@pytest.fixture(scope="session")
def telemetrygen() -> Path:
    """The Collector's load generator, or that of the variable `TELEMETRYGEN`."""
    return program("telemetrygen", "TELEMETRYGEN")


@pytest.fixture
def start_collector(otelcol: Path, tmp_path: Path) -> Iterator[StartCollector]:
    """Start a Collector with a file of `collector_config`; it ends with the test.

    Called with the file's name, a dictionary of the variables that the file reads, and further settings.
    """
    with ExitStack() as running:

        def start(config: str, environ: dict[str, str], *settings: str) -> CollectorProcess:
            collector = CollectorProcess(otelcol, config, tmp_path, environ, settings)
            return running.enter_context(collector)

        yield start


@pytest.fixture(scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    started = Store(tmp_path_factory.mktemp("store"))
    yield started
    started.stop()


@pytest.fixture
def store(_store: Store) -> Store:
    """The store of all tests of a module, running; each uses a service name of its own."""
    _store.start()
    return _store


@pytest.fixture
def client(store: Store) -> Iterator[ClickHouse]:
    """The store's own database, into which it puts what comes by OTLP."""
    connection = connect(store.dsn)
    yield connection
    connection.close()


@pytest.fixture
def service() -> str:
    """A service name of the test's own."""
    return f"shop-{uuid4().hex}"
