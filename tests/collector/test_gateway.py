"""Agents before a gateway that makes batches: nothing is lost, and what a kill doubles is mended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import NOON
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, requests_of, send, wait_until_counted
from tests.collector.line import Line
from tests.collector.store import Store
from tests.flask.launching import BIN
from tests.serving import wait_for

FLUSHES_LATE = "exporters.clickhouse/usage.sending_queue.batch.flush_timeout=60s"
RETRIES_SOON = "exporters.clickhouse/usage.retry_on_failure.initial_interval=100ms"
AGENT_RETRIES_SOON = (
    "exporters.otlp_http/gateway.retry_on_failure.initial_interval=100ms",
    "exporters.otlp_http/gateway.retry_on_failure.max_interval=500ms",
)


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    """What the gateway takes for ClickHouse."""
    with Line(store.http_url, b"INSERT") as between:
        yield between


def test_events_reach_clickhouse_through_an_agent_and_a_gateway(
    start_collector: StartCollector, line: Line, client: ClickHouse, service: str
) -> None:
    gateway = start_collector(
        "gateway.yaml", {"CLICKHOUSE_ENDPOINT": line.url, "COLLECTOR_BATCH_SPANS": "300"}, FLUSHES_LATE
    )
    agent = start_collector("agent.yaml", {"GATEWAY_ENDPOINT": gateway.otlp_url})

    send(agent.otlp_url, requests_of(service, 600), per_request=20)
    wait_until_counted(client, service, 600)

    assert counts_of(client, service) == (600, 600, 600)
    assert line.marked_requests == 2


def test_an_agent_keeps_events_while_the_gateway_is_away(
    start_collector: StartCollector, store: Store, client: ClickHouse, service: str
) -> None:
    gateway = start_collector("gateway.yaml", {"CLICKHOUSE_ENDPOINT": store.http_url})
    agent = start_collector("agent.yaml", {"GATEWAY_ENDPOINT": gateway.otlp_url}, *AGENT_RETRIES_SOON)
    gateway.stop()
    send(agent.otlp_url, requests_of(service, 200))
    wait_for(lambda: "Will retry" in agent.log_text(), "an attempt that failed")
    agent.kill()
    agent.start()
    gateway.start()
    wait_until_counted(client, service, 200)
    gateway.wait_until_queue_is_empty()

    assert counts_of(client, service) == (200, 200, 200)


def test_a_batch_whose_answer_was_lost_is_tried_again_as_it_was(
    start_collector: StartCollector, line: Line, client: ClickHouse, service: str
) -> None:
    gateway = start_collector(
        "gateway.yaml",
        {"CLICKHOUSE_ENDPOINT": line.url, "COLLECTOR_BATCH_SPANS": "200"},
        RETRIES_SOON,
        FLUSHES_LATE,
    )
    line.lose_answers()
    send(gateway.otlp_url, requests_of(service, 200), per_request=40)
    line.wait_for_lost_answer()
    send(gateway.otlp_url, requests_of(service, 200, first=200), per_request=40)
    line.wait_for_lost_answer()
    line.mend()
    gateway.wait_until_queue_is_empty()

    assert counts_of(client, service) == (400, 400, 400)


@pytest.mark.parametrize(
    ("spans_of_a_batch", "stored"),
    [
        pytest.param("500", 1000, id="a batch that is made anew"),
        pytest.param("0", 600, id="each request an insert of its own"),
    ],
)
def test_a_gateway_that_is_killed_amid_an_insert_loses_none_and_a_rebuild_mends_what_it_doubles(
    start_collector: StartCollector,
    line: Line,
    store: Store,
    client: ClickHouse,
    service: str,
    spans_of_a_batch: str,
    stored: int,
) -> None:
    environ = {"CLICKHOUSE_ENDPOINT": line.url, "COLLECTOR_BATCH_SPANS": "400"}
    if spans_of_a_batch == "0":
        environ["COLLECTOR_BATCH_SPANS"] = "0"
    gateway = start_collector("gateway.yaml", environ, FLUSHES_LATE, RETRIES_SOON)
    line.lose_answers()
    send(gateway.otlp_url, requests_of(service, 400), per_request=200)
    wait_until_counted(client, service, 400)
    gateway.kill()
    line.mend()
    environ["COLLECTOR_BATCH_SPANS"] = spans_of_a_batch
    gateway.start()
    send(gateway.otlp_url, requests_of(service, 200, first=400), per_request=200)
    gateway.wait_until_queue_is_empty()
    rows, different, _ = counts_of(client, service)
    rebuild(store)

    assert (rows, different) == (stored, 600)
    assert counts_of(client, service) == (stored, 600, 600)


def rebuild(store: Store) -> None:
    command = [str(BIN / "otel-usage"), "rebuild", "--day", NOON[:10], "--dsn", store.dsn]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
