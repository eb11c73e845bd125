"""Real apps, real Collectors, a real store: what was sent is counted, once."""

from __future__ import annotations

from pathlib import Path

from otel_usage.clickhouse import ClickHouse
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, wait_until_counted
from tests.collector.store import Store
from tests.flask.launching import launched

FLASK = ["flask", "--app", "tests.flask.launched_app:create_app", "run", "--port", "{port}"]
REQUESTS = 40


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
    start_collector: StartCollector, store: Store, client: ClickHouse, service: str, tmp_path: Path
) -> None:
    collector = start_collector("serve.yaml", {"SERVE_ENDPOINT": store.otlp_url})

    with launched(FLASK, environ_of(service, collector.otlp_url), tmp_path / "app.log") as app:
        app.send(REQUESTS)
        app.terminate()
    wait_until_counted(client, service, REQUESTS)

    assert counts_of(client, service) == (REQUESTS, REQUESTS, REQUESTS)
