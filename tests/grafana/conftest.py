"""The database of traffic that the tests of the dashboards share; they only read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.databases import new_database
from tests.grafana.traffic import make_hits, send, store_trace
from tests.serving import ServeProcess


@pytest.fixture(scope="session")
def filled(serve: ServeProcess) -> Iterator[ClickHouse]:
    """A database with the traffic of `traffic.py`."""
    with new_database(serve) as client:
        migrate(client)
        send(make_hits(), serve.dsn_of(client.dsn.database))
        store_trace(client)
        yield client
