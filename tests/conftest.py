"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.databases import empty_tables, new_database
from tests.django_site import django_site, site
from tests.serving import ServeProcess, start_serve

__all__ = ["django_site", "site"]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """One `otel-usage serve` for all tests; each test uses tables or a database of its own."""
    server = start_serve(Path(tmp_path_factory.mktemp("serve")))
    yield server
    server.stop()


@pytest.fixture
def database(serve: ServeProcess) -> Iterator[ClickHouse]:
    """An empty database of the test's own."""
    with new_database(serve) as client:
        yield client


@pytest.fixture(scope="session")
def _migrated_database(serve: ServeProcess) -> Iterator[ClickHouse]:
    with new_database(serve) as client:
        migrate(client)
        yield client


@pytest.fixture
def usage(_migrated_database: ClickHouse) -> ClickHouse:
    """A database with the whole schema and no events."""
    empty_tables(_migrated_database)
    return _migrated_database
