"""Two databases: one that a person was in, and one that they never came to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.databases import empty_tables, new_database
from tests.serving import ServeProcess


@pytest.fixture(scope="session")
def _migrated_expected(serve: ServeProcess) -> Iterator[ClickHouse]:
    with new_database(serve) as client:
        migrate(client)
        yield client


@pytest.fixture
def expected(_migrated_expected: ClickHouse) -> ClickHouse:
    """A database with the whole schema and no events, to compare with."""
    empty_tables(_migrated_expected)
    return _migrated_expected


@pytest.fixture
def own_database(database: ClickHouse) -> ClickHouse:
    """A database of the test's own, with the whole schema."""
    migrate(database)
    return database
