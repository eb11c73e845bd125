"""One receiver, two branches: a sample of the traces to a tracing backend, all usage to ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, requests_of, send, wait_until_counted
from tests.collector.process import CollectorProcess
from tests.collector.store import Store
from tests.collector.tracing_backend import TracingBackend, keys_of
from tests.flask.launching import launched
from tests.serving import wait_for

SHOP = ["flask", "--app", "tests.collector.shop_with_errors:create_app", "run", "--port", "{port}"]
GOOD, BAD = 100, 5


@pytest.fixture
def backend() -> Iterator[TracingBackend]:
    with TracingBackend() as listening:
        yield listening


@pytest.fixture
def collector(start_collector: StartCollector, store: Store, backend: TracingBackend) -> CollectorProcess:
    environ = {"CLICKHOUSE_ENDPOINT": store.http_url, "TRACING_ENDPOINT": backend.url}
    return start_collector("with-tracing.yaml", environ, "processors.tail_sampling.decision_wait=1s")


def test_a_sample_is_traced_and_all_is_counted(
    collector: CollectorProcess, backend: TracingBackend, client: ClickHouse, service: str, tmp_path: Path
) -> None:
    environ = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    with launched(SHOP, environ, tmp_path / "app.log") as app:
        app.send(GOOD)
        app.send(BAD, path="/fails?{}")
        wait_for(lambda: len(failed(backend)) >= BAD, "the arrival of the traces with an error")
        app.terminate()
    wait_until_counted(client, service, GOOD + BAD)

    assert counts_of(client, service) == (GOOD + BAD,) * 3
    assert len(failed(backend)) == BAD
    assert len(backend.spans) < GOOD
    assert [span.name for span in backend.spans if names.EVENT_ID in keys_of(span)] == []


def failed(backend: TracingBackend) -> list[str]:
    """Return the names of the spans that the backend got with an error."""
    return [span.name for span in list(backend.spans) if span.status.code == span.status.STATUS_CODE_ERROR]


def test_only_what_otel_usage_sets_gets_into_clickhouse(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    event = build_event(service=service)
    ours = {name: f"{number}" for number, name in enumerate(sorted(attribute_names()))}
    event.attributes.update({**ours, names.EVENT_NAME: event.name, **PERSONAL})
    del event.attributes[names.REJECTED_REASON]

    send(collector.otlp_url, [event])
    wait_until_counted(client, service, 1)

    ((stored, resource),) = client.query(
        "SELECT SpanAttributes, ResourceAttributes FROM otel_traces WHERE ServiceName = {service:String}",
        {"service": service},
    ).rows
    assert set(stored) == set(ours) - {names.REJECTED_REASON}
    assert resource == {"service.name": service}


def test_a_request_that_comes_twice_counts_once(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    events = requests_of(service, 100)

    send(collector.otlp_url, events)
    send(collector.otlp_url, events)
    wait_until_counted(client, service, 100)
    collector.wait_until_queue_is_empty()

    assert counts_of(client, service) == (100, 100, 100)


def attribute_names() -> set[str]:
    """Return the names of all span attributes, with one example for each family of names."""
    values = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    return {f"{value}size" if value.endswith(".") else value for value in values if "." in value}


PERSONAL = {
    "http.request.header.cookie": ("session=secret",),
    "http.request.header.authorization": ("Bearer secret",),
    "http.target": "/reset?token=secret",
    "http.url": "https://shop.example/?mail=ann@example.org",
    "enduser.id": "ann@example.org",
    "enduser.email": "ann@example.org",
    "user.email": "ann@example.org",
    "user.full_name": "Ann Example",
    "net.peer.ip": "192.0.2.7",
    "db.statement": "SELECT 'ann@example.org'",
    "exception.message": "no such user: ann@example.org",
    "usage.property": "the name of no property",
    "x.usage.property.size": "not ours",
}
"""What other instrumentations put on a span, or an app by mistake."""
