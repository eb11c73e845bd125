"""The same events by all four ways: direct, OTLP to `serve`, a Collector to `serve`, a Collector to `otel_traces`.

Everything goes twice by each way, byte for byte, and counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.model import Event
from otel_usage.pipeline.exporters import EventExporter
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.pipeline.rejection import rejections
from otel_usage.reports import REPORTS
from tests.collector.process import CollectorProcess
from tests.collector.stored import NOT_OF_EVENTS, Stored, difference, differences, read_stored
from tests.collector.traffic import shop_events, wait_until_passed_on
from tests.databases import empty_tables
from tests.serving import ServeProcess, start_serve
from tests.varied_events import varied_events

Way: TypeAlias = Callable[[list[Event], ServeProcess, Path, Path], None]

BATCH = 500


def send_twice(exporter: EventExporter, events: Sequence[Event], way: str) -> None:
    """Send batches, each a second time as one whose answer was lost."""
    for start in range(0, len(events), BATCH):
        batch = exporter.freeze(events[start : start + BATCH], token=f"{way}-{start}")
        exporter.send(batch)
        exporter.send(batch)
    exporter.close()


def send_by_collector(collector: CollectorProcess, events: Sequence[Event]) -> None:
    """Return when the store has acknowledged all."""
    with collector:
        send_twice(OtlpExporter(collector.otlp_url), events, "collector")
        wait_until_passed_on(collector, 2 * len(events))


def direct(events: list[Event], serve: ServeProcess, otelcol: Path, directory: Path) -> None:
    send_twice(ClickHouseSpanExporter(serve.dsn), events, "direct")


def otlp_to_serve(events: list[Event], serve: ServeProcess, otelcol: Path, directory: Path) -> None:
    send_twice(OtlpExporter(serve.otlp_url), events, "otlp")


def collector_to_serve(events: list[Event], serve: ServeProcess, otelcol: Path, directory: Path) -> None:
    environ = {"SERVE_ENDPOINT": serve.otlp_url}
    send_by_collector(CollectorProcess(otelcol, "serve.yaml", directory, environ), events)


def collector_to_table(events: list[Event], serve: ServeProcess, otelcol: Path, directory: Path) -> None:
    environ = {"CLICKHOUSE_ENDPOINT": serve.http_url}
    send_by_collector(CollectorProcess(otelcol, "local.yaml", directory, environ), events)


OTHERS: tuple[Way, ...] = (otlp_to_serve, collector_to_serve, collector_to_table)
WAYS: tuple[Way, ...] = (direct, *OTHERS)

by_each_way = pytest.mark.parametrize("way", [way.__name__ for way in OTHERS])


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """Frozen events of many kinds; a part of them is to be set aside."""
    return [*shop_events(tmp_path_factory.mktemp("shop"), 120), *varied_events(700, seed=4)]


@pytest.fixture(scope="module")
def stored(
    otelcol: Path, events: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Stored]:
    """What one store said after each way, from empty tables each time."""
    serve = start_serve(tmp_path_factory.mktemp("store"))
    client: ClickHouse = connect(serve.dsn)
    found = {}
    try:
        for way in WAYS:
            empty_tables(client)
            way(events, serve, otelcol, tmp_path_factory.mktemp(way.__name__))
            found[way.__name__] = read_stored(client)
    finally:
        client.close()
        serve.stop()
    return found


def test_no_column_is_the_same_in_all_events(stored: Mapping[str, Stored]) -> None:
    columns = zip(*stored["direct"].events, strict=True)

    assert [number for number, column in enumerate(columns) if len({*map(str, column)}) < 2] == []


@by_each_way
def test_what_comes_twice_byte_for_byte_counts_once(
    stored: Mapping[str, Stored], events: list[Event], way: str
) -> None:
    set_aside = rejections(events)

    assert set_aside.total() > 10
    assert len(stored[way].events) == len(events) - set_aside.total()
    assert Counter(reason for _, reason in stored[way].rejected) == set_aside


@by_each_way
def test_each_event_is_the_same_row(stored: Mapping[str, Stored], way: str) -> None:
    assert difference(stored["direct"].events, stored[way].events) == []


@by_each_way
def test_each_event_that_is_set_aside_has_the_same_reason(stored: Mapping[str, Stored], way: str) -> None:
    assert difference(stored["direct"].rejected, stored[way].rejected) == []


@by_each_way
def test_each_state_holds_the_same(stored: Mapping[str, Stored], way: str) -> None:
    assert len(stored["direct"].states) > 5
    assert differences(stored["direct"].states, stored[way].states) == {}


@by_each_way
def test_each_view_says_the_same(stored: Mapping[str, Stored], way: str) -> None:
    assert len(stored["direct"].views) > 15
    assert differences(stored["direct"].views, stored[way].views) == {}


@by_each_way
def test_each_report_says_the_same(stored: Mapping[str, Stored], way: str) -> None:
    reports = stored["direct"].reports

    assert {name for name in REPORTS if not reports.get(name)} == NOT_OF_EVENTS
    assert differences(reports, stored[way].reports) == {}
