"""Clients that are not ours: a plain Collector, its load generator, and rotel, each with what it does by default."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.doctor import examine
from otel_usage.model import Event
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.schema.rebuild import rebuild_day
from tests.builders import NOON, nanoseconds
from tests.collector.conftest import StartCollector
from tests.collector.events import counts_of, requests_of, wait_until_counted
from tests.collector.process import CollectorProcess
from tests.collector.rotel import Rotel, find_rotel
from tests.collector.stored import REJECTED, difference, read_rows
from tests.collector.traffic import wait_until_passed_on
from tests.databases import empty_tables
from tests.server.http import send as post
from tests.server.test_otlp import PROTOBUF
from tests.server.test_otlp_spans import OLD_NAMES, build_request, text
from tests.serving import ServeProcess, wait_for
from tests.varied_events import varied_events

START_NS = nanoseconds(NOON)
TRACES = 25
SPANS = 2 * TRACES
"""A child for each."""
ATTRIBUTES = (
    'usage.event.id="set"',
    'usage.event.name="request"',
    'url.path="/from/telemetrygen"',
    'session.id="a foreign key"',
    "usage.visit.is_new=true",
    "http.response.status_code=404",
    'usage.property.tags=["a","b,c","Grüße"]',
    "usage.property.numbers=[1,2]",
    "usage.property.flag=false",
)
PROPERTIES = {"tags": "a,b,c,Grüße", "numbers": "1,2", "flag": "false", "session.id": "a foreign key"}
EACH_KIND = {
    "text": text("Grüße"),
    "bytes": AnyValue(bytes_value=b"\0\xff"),
    "whole": AnyValue(double_value=2.0),
    "fraction": AnyValue(double_value=-2.5),
    "number": AnyValue(int_value=-(2**63)),
    "flag": AnyValue(bool_value=True),
    "list": AnyValue(array_value=ArrayValue(values=[text("a,b"), text(""), AnyValue(double_value=3.0)])),
    "nested": AnyValue(
        array_value=ArrayValue(values=[AnyValue(array_value=ArrayValue(values=[text("é<")]))])
    ),
    "map": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=text("v")) for key in "ba"])),
}
COMPRESSIONS = ("", "lz4", "zstd", "gzip", "deflate", "none")


@pytest.fixture
def service() -> str:
    return f"foreign-{uuid4().hex}"


@pytest.fixture
def store(serve: ServeProcess) -> Iterator[ClickHouse]:
    """The database that `serve` puts events into that come by OTLP."""
    client = connect(serve.dsn)
    yield client
    client.close()


def generate(telemetrygen: Path, otlp_url: str, service: str, *attributes: str) -> None:
    """Send `SPANS` spans by OTLP/HTTP."""
    command = [str(telemetrygen), "traces", "--otlp-http", "--otlp-insecure", "--rate", "0"]
    command += ["--traces", str(TRACES), "--otlp-endpoint", otlp_url.removeprefix("http://")]
    command += ["--service", service]
    for attribute in attributes:
        command += ["--telemetry-attributes", attribute]
    subprocess.run(command, check=True, capture_output=True)


def stored_of(client: ClickHouse, service: str) -> list[tuple[Any, ...]]:
    return client.query(
        "SELECT event_name, path, status_code, visit_is_new, properties, count(), uniqExact(event_id) "
        "FROM events WHERE service_name = {service:String} GROUP BY ALL",
        {"service": service},
    ).rows


def test_telemetrygen_reaches_serve(
    telemetrygen: Path, serve: ServeProcess, store: ClickHouse, service: str
) -> None:
    generate(telemetrygen, serve.otlp_url, service, *ATTRIBUTES)

    assert stored_of(store, service) == [
        ("request", "/from/telemetrygen", 404, 1, PROPERTIES, SPANS, SPANS),
    ]


def test_ordinary_traces_of_telemetrygen_are_passed_over(
    telemetrygen: Path, serve: ServeProcess, store: ClickHouse, service: str
) -> None:
    generate(telemetrygen, serve.otlp_url, service, 'url.path="/"')

    assert stored_of(store, service) == []


def test_telemetrygen_reaches_events_through_a_collector(
    telemetrygen: Path,
    start_collector: StartCollector,
    serve: ServeProcess,
    store: ClickHouse,
    service: str,
) -> None:
    collector = start_collector("local.yaml", {"CLICKHOUSE_ENDPOINT": serve.http_url})

    generate(telemetrygen, collector.otlp_url, service, *ATTRIBUTES)
    wait_until_passed_on(collector, SPANS)

    assert stored_of(store, service) == [
        ("request", "/from/telemetrygen", 404, 1, PROPERTIES, SPANS, SPANS),
    ]


def test_spans_of_another_tracer_are_the_same_events_by_serve_and_by_a_collector(
    start_collector: StartCollector, serve: ServeProcess, store: ClickHouse, usage: ClickHouse, service: str
) -> None:
    environ = {"CLICKHOUSE_ENDPOINT": serve.http_url, "CLICKHOUSE_DATABASE": usage.dsn.database}
    collector = start_collector("local.yaml", environ)
    request = build_request(
        **OLD_NAMES,
        **{"http.target": text("/a?b=1")},
        **{f"usage.property.{kind}": value for kind, value in EACH_KIND.items()},
    )
    resource_spans = request.resource_spans[0]
    resource_spans.resource.attributes[0].value.string_value = service
    span = resource_spans.scope_spans[0].spans[0]
    span.start_time_unix_nano, span.end_time_unix_nano = START_NS, START_NS + 100
    body = request.SerializeToString()

    for url in (serve.otlp_url, collector.otlp_url):
        assert post(url, "/v1/traces", body=body, headers=PROTOBUF).status == 200
    wait_until_passed_on(collector, 1)

    direct, by_collector = (
        read_rows(client, f"(SELECT * FROM events WHERE service_name = '{service}')")
        for client in (store, usage)
    )
    assert len(direct) == 1
    assert difference(direct, by_collector) == []


@pytest.mark.parametrize("exporter", ["otlp", "clickhouse"])
def test_telemetrygen_reaches_events_through_rotel(
    telemetrygen: Path,
    serve: ServeProcess,
    store: ClickHouse,
    service: str,
    tmp_path: Path,
    exporter: str,
) -> None:
    with Rotel(find_rotel(), tmp_path, *rotel_options(exporter, serve, "otel_usage")) as rotel:
        generate(telemetrygen, rotel.otlp_url, service, *ATTRIBUTES)
        wait_until_counted(store, service, SPANS)

    assert stored_of(store, service) == [
        ("request", "/from/telemetrygen", 404, 1, PROPERTIES, SPANS, SPANS),
    ]


def rotel_options(exporter: str, serve: ServeProcess, database: str) -> list[str]:
    if exporter == "otlp":
        place = ["--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", serve.otlp_url]
    else:
        place = ["--clickhouse-exporter-endpoint", serve.http_url, "--clickhouse-exporter-database", database]
    return ["--exporter", exporter, *place]


def test_rotel_stores_the_rows_of_the_direct_exporter(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    events = varied_events(500, seed=8)
    send(ClickHouseSpanExporter(serve.dsn_of(usage.dsn.database)), events)
    expected, expected_rejected = (read_rows(usage, source) for source in ("events", REJECTED))
    empty_tables(usage)
    options = rotel_options("clickhouse", serve, usage.dsn.database)

    # Without that option, the two requests become one insert, in which each event stands twice.
    with Rotel(find_rotel(), tmp_path, *options, "--disable-batching") as rotel:
        for _ in range(2):
            send(OtlpExporter(rotel.otlp_url), events)
        wait_for(
            lambda: (
                count(usage, "events") >= len(expected) and count(usage, REJECTED) >= len(expected_rejected)
            ),
            "the insert of rotel",
        )

    assert len(expected) > 400
    assert difference(expected, read_rows(usage, "events")) == []
    assert difference(expected_rejected, read_rows(usage, REJECTED)) == []


def count(client: ClickHouse, source: str) -> int:
    return int(client.query(f"SELECT count() FROM {source}").rows[0][0])


def send(exporter: ClickHouseSpanExporter | OtlpExporter, events: Sequence[Event]) -> None:
    exporter.send(exporter.freeze(events, uuid4().hex))
    exporter.close()


def plain_config(path: Path, serve: ServeProcess, databases: Mapping[str, Mapping[str, object]]) -> Path:
    """Write what somebody without our files would: one exporter for each database, all else by default."""
    exporters = {
        f"clickhouse/{database}": {"endpoint": serve.http_url, "database": database, **options}
        for database, options in databases.items()
    }
    pipeline = {"receivers": ["otlp"], "exporters": [*exporters]}
    config = {
        "extensions": {"health_check": {}},
        "receivers": {"otlp": {"protocols": {"grpc": {}, "http": {}}}},
        "exporters": exporters,
        "service": {"extensions": ["health_check"], "pipelines": {"traces": pipeline}},
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_plain_collector_reaches_serve_with_every_compression(
    otelcol: Path, telemetrygen: Path, serve: ServeProcess, service: str, tmp_path: Path
) -> None:
    options = {f"plain_{uuid4().hex}": {"compress": name} if name else {} for name in COMPRESSIONS}
    config = plain_config(tmp_path / "plain.yaml", serve, options)
    with ExitStack() as stack:
        admin = connect(serve.dsn)
        stack.callback(admin.close)
        for database in options:
            stack.callback(admin.command, f"DROP DATABASE IF EXISTS {database} SYNC")
        collector = stack.enter_context(CollectorProcess(otelcol, str(config), tmp_path))

        generate(telemetrygen, collector.otlp_url, service, 'list=["a","b"]')
        wait_for(
            lambda: collector.metric("otelcol_exporter_sent_spans") >= SPANS * len(options), "all inserts"
        )
        found = {
            database: admin.query(
                f"SELECT ServiceName, SpanAttributes['list'], count(), uniqExact(SpanId) FROM {database}.otel_traces "
                "GROUP BY ALL"
            ).rows
            for database in options
        }

    assert found == {database: [(service, '["a","b"]', SPANS, SPANS)] for database in options}


def test_a_plain_collector_fills_a_database_that_migrate_made(
    otelcol: Path, telemetrygen: Path, serve: ServeProcess, usage: ClickHouse, service: str, tmp_path: Path
) -> None:
    config = plain_config(tmp_path / "plain.yaml", serve, {usage.dsn.database: {}})

    with CollectorProcess(otelcol, str(config), tmp_path) as collector:
        generate(telemetrygen, collector.otlp_url, service, *ATTRIBUTES)
        wait_until_passed_on(collector, SPANS)

    assert stored_of(usage, service) == [
        ("request", "/from/telemetrygen", 404, 1, PROPERTIES, SPANS, SPANS),
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"create_schema": False, "database": "nowhere"}, "Database nowhere does not exist"),
        ({"create_schema": False, "database": "default"}, "Database 'default' is not offered by this server"),
        (
            {"username": "somebody", "password": "secret"},
            "Authentication failed: this embedded server knows only",
        ),
        ({"compress": "br"}, "Content-Encoding 'br' is unknown, expected one of: gzip, deflate, zstd, lz4"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_collector_logs_why_serve_refuses_it(
    otelcol: Path,
    serve: ServeProcess,
    service: str,
    tmp_path: Path,
    options: dict[str, object],
    reason: str,
) -> None:
    config = plain_config(tmp_path / "plain.yaml", serve, {"otel_usage": options})
    collector = CollectorProcess(otelcol, str(config), tmp_path)

    try:
        with collector:
            send(OtlpExporter(collector.otlp_url), requests_of(service, 1))
            wait_for(lambda: reason in collector.log_text(), "the reason in the log")
    except AssertionError:
        # Where it has to make tables, it ends when it cannot.
        assert reason in collector.log_text()


def test_events_that_a_collector_sends_in_other_batches_are_found_and_mended(
    start_collector: StartCollector, serve: ServeProcess, usage: ClickHouse, service: str
) -> None:
    environ = {"CLICKHOUSE_ENDPOINT": serve.http_url, "CLICKHOUSE_DATABASE": usage.dsn.database}
    collector = start_collector("local.yaml", environ)
    # `doctor` looks at the last days.
    events = [event._replace(timestamp_ns=time.time_ns()) for event in requests_of(service, 60)]

    for batch in (events, events[:25], events[25:]):
        send(OtlpExporter(collector.otlp_url), batch)
    wait_until_passed_on(collector, 120)
    found = [finding.text for finding in examine(serve.dsn_of(usage.dsn.database)) if not finding.is_good]
    for (day,) in usage.query("SELECT DISTINCT toDate(timestamp) FROM events").rows:
        rebuild_day(usage, day)

    assert counts_of(usage, service) == (120, 60, 60)
    assert [text for text in found if "events are stored twice on: " in text] == found != []
