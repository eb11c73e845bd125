"""What a Collector has acknowledged is counted once, whoever goes away in between: the store, the line or itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import DeliveryError
from otel_usage.model import Event
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, requests_of, requests_of_many_months, send, wait_until_counted
from tests.collector.line import Line
from tests.collector.process import CollectorProcess
from tests.collector.store import Store
from tests.serving import wait_for


@dataclass(frozen=True)
class Way:
    """A file, and how it reaches the store."""

    config: str
    exporter: str
    variable: str
    marker: bytes
    """In the first line of what it sends."""

    def url_of(self, store: Store) -> str:
        return store.http_url if "clickhouse" in self.exporter else store.otlp_url


TO_SERVE = Way("serve.yaml", "otlp_http/usage", "SERVE_ENDPOINT", b"/v1/traces")
TO_CLICKHOUSE = Way("local.yaml", "clickhouse/usage", "CLICKHOUSE_ENDPOINT", b"INSERT")

to_clickhouse_alone = pytest.mark.parametrize("way", [TO_CLICKHOUSE], ids=["local.yaml"])


@pytest.fixture(params=[TO_SERVE, TO_CLICKHOUSE], ids=["serve.yaml", "local.yaml"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each way that is exact."""
    made: Way = request.param
    return made


@pytest.fixture
def line(way: Way, store: Store) -> Iterator[Line]:
    """What the Collector takes for the store."""
    with Line(way.url_of(store), way.marker) as between:
        yield between


@pytest.fixture
def collector(way: Way, start_collector: StartCollector, line: Line) -> CollectorProcess:
    """A Collector before the store, which waits less than usual before it tries again."""
    return start_collector(way.config, {way.variable: line.url}, *retries_soon(way))


def retries_soon(way: Way) -> tuple[str, str]:
    retry = f"exporters.{way.exporter}.retry_on_failure"
    return f"{retry}.initial_interval=100ms", f"{retry}.max_interval=500ms"


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
    collector.wait_until_queue_is_empty()

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
    collector.wait_until_queue_is_empty()

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
    collector.wait_until_queue_is_empty()

    assert counts_of(client, service) == (200, 200, 200)


def test_events_whose_answer_was_lost_are_sent_again_and_count_once(
    collector: CollectorProcess, line: Line, client: ClickHouse, service: str
) -> None:
    line.lose_answers()
    send(collector.otlp_url, requests_of(service, 200))
    for _ in range(3):
        line.wait_for_lost_answer()
    line.mend()
    collector.wait_until_queue_is_empty()

    assert counts_of(client, service) == (200, 200, 200)


def test_an_answer_that_is_final_loses_the_request_and_is_logged_and_counted(
    start_collector: StartCollector, store: Store, service: str
) -> None:
    # ClickHouse's port knows no /v1/traces.
    collector = start_collector("serve.yaml", {"SERVE_ENDPOINT": store.http_url})

    send(collector.otlp_url, requests_of(service, 20))
    collector.wait_until_queue_is_empty()

    assert collector.metric("otelcol_exporter_send_failed_spans") == 20
    assert "Exporting failed. Dropping data." in collector.log_text()


def test_requests_that_no_insert_can_take_hold_up_none_that_come_after_them(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    for _ in range(3):  # more than are tried at a time
        send(collector.otlp_url, requests_of_many_months("wrong-clock"), per_request=150)
    send(collector.otlp_url, requests_of(service, 100))
    wait_until_counted(client, service, 100)
    collector.wait_until_queue_is_empty()

    assert counts_of(client, service) == (100, 100, 100)
    assert counts_of(client, "wrong-clock") == (0, 0, 0)


@to_clickhouse_alone
def test_kills_at_any_moment_lose_and_double_none(
    collector: CollectorProcess, client: ClickHouse, service: str
) -> None:
    for first in range(0, 600, 200):
        send(collector.otlp_url, requests_of(service, 200, first), per_request=50)
        collector.kill()
        collector.start()
    wait_until_counted(client, service, 600)
    collector.wait_until_queue_is_empty()

    assert counts_of(client, service) == (600, 600, 600)


@to_clickhouse_alone
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


@to_clickhouse_alone
def test_a_full_queue_tells_the_app_to_wait(
    start_collector: StartCollector, store: Store, client: ClickHouse, way: Way, service: str
) -> None:
    store.stop()
    collector = start_collector(
        way.config,
        {way.variable: way.url_of(store)},
        f"exporters.{way.exporter}.sending_queue.queue_size=100000",
        *retries_soon(way),
    )
    events = requests_of(service, 2000)
    accepted, refusal = send_until_refused(collector.otlp_url, events)
    store.start()
    collector.wait_until_queue_is_empty()
    send(collector.otlp_url, events[accepted : accepted + 100])
    wait_until_counted(client, service, accepted + 100)

    assert refusal == "the OTLP endpoint answered 503"
    assert counts_of(client, service) == (accepted + 100,) * 3


def send_until_refused(otlp_url: str, events: list[Event]) -> tuple[int, str]:
    """Return how many events were acknowledged before a request was refused for now, and how that was said."""
    for first in range(0, len(events), 100):
        try:
            send(otlp_url, events[first : first + 100])
        except DeliveryError as error:
            return first, str(error)
    raise AssertionError("no request was refused")
