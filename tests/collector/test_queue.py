"""What a Collector has acknowledged is counted once, whoever goes away in between: the store, the line or itself."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, requests_of, send, wait_until_counted
from tests.collector.line import Line
from tests.collector.process import CollectorProcess
from tests.collector.store import Store
from tests.serving import wait_for


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    started = Store(tmp_path_factory.mktemp("store"))
    yield started
    started.stop()


@pytest.fixture
def store(one_store: Store) -> Store:
    """The store of all tests here, running."""
    one_store.start()
    return one_store


@pytest.fixture
def client(store: Store) -> Iterator[ClickHouse]:
    connection = connect(store.dsn)
    yield connection
    connection.close()


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    """What the Collector takes for the store."""
    with Line(store.otlp_url) as between:
        yield between


@pytest.fixture
def service() -> str:
    return f"shop-{uuid4().hex}"


@pytest.fixture
def collector(start_collector: StartCollector, line: Line) -> CollectorProcess:
    """A Collector before the store, which waits less than usual before it tries again."""
    return start_collector(
        "serve.yaml",
        {"SERVE_ENDPOINT": line.url},
        "exporters.otlp_http/usage.retry_on_failure.initial_interval=100ms",
        "exporters.otlp_http/usage.retry_on_failure.max_interval=500ms",
    )


def wait_until_queue_is_empty(collector: CollectorProcess) -> None:
    wait_for(lambda: collector.metric("otelcol_exporter_queue_size") == 0, "an empty queue")


def test_events_wait_on_disk_while_the_store_is_away(
    collector: CollectorProcess, store: Store, client: ClickHouse, service: str
) -> None:
    send(collector.otlp_url, requests_of(service, 100))
    store.stop()
    send(collector.otlp_url, requests_of(service, 300, first=100))
    wait_for(lambda: "Will retry" in collector.log_text(), "an attempt that failed")
    held = collector.metric("otelcol_exporter_queue_size")
    store.start()
    wait_until_counted(client, service, 400)
    wait_until_queue_is_empty(collector)

    assert held > 10_000
    assert counts_of(client, service) == (400, 400, 400)


def test_a_collector_that_is_killed_with_events_in_its_queue_loses_none(
    collector: CollectorProcess, store: Store, client: ClickHouse, service: str
) -> None:
    store.stop()
    send(collector.otlp_url, requests_of(service, 300))
    collector.kill()
    collector.start()
    send(collector.otlp_url, requests_of(service, 100, first=300))
    store.start()
    wait_until_counted(client, service, 400)
    wait_until_queue_is_empty(collector)

    assert counts_of(client, service) == (400, 400, 400)


def test_events_that_arrived_before_the_collector_was_killed_are_not_doubled_after_it(
    collector: CollectorProcess, line: Line, client: ClickHouse, service: str
) -> None:
    line.lose_answers()
    send(collector.otlp_url, requests_of(service, 200))
    line.wait_for_lost_answer()
    collector.kill()
    line.mend()
    collector.start()
    wait_until_counted(client, service, 200)
    wait_until_queue_is_empty(collector)

    assert counts_of(client, service) == (200, 200, 200)


def test_events_whose_answer_was_lost_are_sent_again_and_count_once(
    collector: CollectorProcess, line: Line, client: ClickHouse, service: str
) -> None:
    line.lose_answers()
    send(collector.otlp_url, requests_of(service, 200))
    for _ in range(3):
        line.wait_for_lost_answer()
    line.mend()
    wait_until_queue_is_empty(collector)

    assert counts_of(client, service) == (200, 200, 200)


def test_kills_at_any_moment_lose_and_double_none(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    for first in range(0, 800, 200):
        send(collector.otlp_url, requests_of(service, 200, first), per_request=50)
        collector.kill()
        collector.start()
    wait_until_counted(client, service, 800)
    wait_until_queue_is_empty(collector)

    assert counts_of(client, service) == (800, 800, 800)


def test_a_request_of_long_texts_is_taken(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    long = {f"note_{number}": "x" * 2048 for number in range(30)}
    events = requests_of(service, 400)
    for event in events:
        event.attributes.update({f"usage.property.{name}": text for name, text in long.items()})

    send(collector.otlp_url, events, per_request=400)
    wait_until_counted(client, service, 400)

    assert counts_of(client, service) == (400, 400, 400)
