"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ServeProcess, start_serve


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """One `otel-usage serve` for all tests; each test uses tables or a database of its own."""
    server = start_serve(Path(tmp_path_factory.mktemp("serve")))
    yield server
    server.stop()
