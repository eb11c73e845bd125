"""Real apps, real Collectors, a real store: what was sent is counted, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, wait_until_counted
from tests.flask.launching import launched
from tests.serving import ServeProcess

FLASK = ["flask", "--app", "tests.flask.launched_app:create_app", "run", "--port", "{port}"]
REQUESTS = 40


@pytest.fixture
def service() -> str:
    """A service name of the test's own, so that all tests can share one store."""
    return f"shop-{uuid4().hex}"


@pytest.fixture
def store(serve: ServeProcess) -> Iterator[ClickHouse]:
    """The database that `serve` puts events into that come by OTLP."""
    client = connect(serve.dsn)
    yield client
    client.close()


def environ_of(service: str, otlp_url: str, **more: str) -> dict[str, str]:
    quiet = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    return {
        **quiet,
        "OTEL_SERVICE_NAME": service,
        "OTEL_USAGE_EXPORTER": "otlp",
        "OTEL_USAGE_OTLP_ENDPOINT": otlp_url,
        **more,
    }


def test_an_app_reaches_serve_through_a_collector(
    start_collector: StartCollector, serve: ServeProcess, store: ClickHouse, service: str, tmp_path: Path
) -> None:
    collector = start_collector("serve.yaml", {"SERVE_ENDPOINT": serve.otlp_url})

    with launched(FLASK, environ_of(service, collector.otlp_url), tmp_path / "app.log") as app:
        app.send(REQUESTS)
        app.terminate()
    wait_until_counted(store, service, REQUESTS)

    assert counts_of(store, service) == (REQUESTS, REQUESTS, REQUESTS)
