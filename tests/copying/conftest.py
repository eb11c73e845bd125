"""Two databases: one that is copied, and one to copy into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.databases import empty_tables, new_database
from tests.serving import ServeProcess


@pytest.fixture(scope="session")
def _migrated_source(serve: ServeProcess) -> Iterator[ClickHouse]:
    with new_database(serve) as client:
        migrate(client)
        yield client


@pytest.fixture
def source(_migrated_source: ClickHouse) -> ClickHouse:
    """A database with the whole schema and no events."""
    empty_tables(_migrated_source)
    return _migrated_source


@pytest.fixture
def target(usage: ClickHouse) -> ClickHouse:
    """Another one."""
    return usage
