"""Fixtures of the tests that run a real OpenTelemetry Collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.collector.process import CollectorProcess
from tests.collector.programs import program

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
