"""The exporter against a real `otel-usage serve`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from otel_usage import ClickHouseSpanExporter, UsageSpanProcessor
from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse, encode_native
from otel_usage.errors import DeliveryError, RejectedBatch, SettingError
from otel_usage.log_throttle import LogThrottle
from otel_usage.pipeline import sender as sender_module
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters import Batch
from otel_usage.pipeline.exporters.clickhouse import Blocks
from otel_usage.pipeline.rows import COLUMNS, to_columns
from otel_usage.reports.funnels import Funnel, Stage
from otel_usage.schema import migrate
from tests.pipeline.spans import build_span
from tests.serving import ServeProcess, wait_for

FUNNEL = Funnel("buy", (Stage("home", 1, paths=("/",)), Stage("cart", 2, paths=("/cart",))))
VIEWS = (
    "browsers_daily",
    "ips_daily",
    "pages_daily",
    "objects_daily",
    "counters_daily",
    "visits",
    "funnel_stages",
    "conversions_daily",
)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def dsn(serve: ServeProcess, usage: ClickHouse) -> str:
    return serve.dsn_of(usage.dsn.database)


@pytest.fixture
def exporter(dsn: str) -> Iterator[ClickHouseSpanExporter]:
    exporter = ClickHouseSpanExporter(dsn, funnels=[FUNNEL])
    yield exporter
    exporter.shutdown()


def stored(client: ClickHouse) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of the events and of all that views made of them."""
    found = {view: sorted(client.query(f"SELECT * FROM {view}").rows, key=repr) for view in VIEWS}
    return {"events": sorted(client.query("SELECT event_id, event_name FROM events").rows), **found}


def test_a_batch_that_is_sent_again_changes_no_table_and_no_view(
    exporter: ClickHouseSpanExporter, usage: ClickHouse
) -> None:
    make = EventMaker([FUNNEL])
    spans = [build_span(attributes={names.PATH: "/cart", names.VISIT_IS_NEW: True}) for _ in range(50)]
    batch = exporter.freeze([event for span in spans for event in make(span)], "one-token")
    exporter.send(batch)
    once = stored(usage)

    for _ in range(3):
        exporter.send(batch)

    assert len(once["events"]) == 100
    assert stored(usage) == once
    assert usage.query("SELECT sum(requests) FROM browsers_daily").rows == [(50,)]


def test_an_answer_that_was_lost_costs_nothing(
    dsn: str, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_FIRST_RETRY_SECONDS", 0.001)

    class ForgetfulExporter(ClickHouseSpanExporter):
        attempts = 0

        def send(self, batch: object) -> None:
            super().send(batch)  # type: ignore[arg-type]
            self.attempts += 1
            if self.attempts % 3:
                raise DeliveryError("the answer was lost on its way")

    processor = UsageSpanProcessor(ForgetfulExporter(dsn), batch_size=10)
    for _ in range(35):
        processor.on_end(build_span())
    assert processor.force_flush(30_000)
    processor.shutdown()

    assert usage.query("SELECT count(), uniqExact(event_id) FROM events").rows == [(35, 35)]
    assert usage.query("SELECT sum(requests) FROM browsers_daily").rows == [(35,)]
    assert processor.accounting().stored == 35


def test_a_missing_schema_is_told_and_the_events_arrive_after_migrate(
    serve: ServeProcess,
    database: ClickHouse,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sender_module, "_FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sender_module, "_LAST_RETRY_SECONDS", 0.02)
    processor = UsageSpanProcessor(ClickHouseSpanExporter(serve.dsn_of(database.dsn.database)))
    # A migration may take a busy machine longer than until the next line is due.
    monkeypatch.setattr(processor._worker, "_failure_log", LogThrottle(interval_seconds=3600.0))
    for _ in range(5):
        processor.on_end(build_span())
    assert not processor.force_flush(500)

    migrate(database)

    assert processor.force_flush(60_000)
    processor.shutdown()
    assert database.query("SELECT count() FROM events").rows == [(5,)]
    message, last = caplog.messages
    assert last == "Usage events are sent again"
    assert message.startswith("Could not send 5 usage events, trying again in 0.0 s; 5 events wait: ")
    assert message.endswith(f"the schema is missing or old in {database.dsn!r}. Run: otel-usage migrate")


def test_a_missing_database_may_be_tried_again(serve: ServeProcess) -> None:
    exporter = ClickHouseSpanExporter(serve.dsn_of("not_there"))

    with pytest.raises(DeliveryError, match="Run: otel-usage migrate"):
        exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))
    exporter.shutdown()


def test_nobody_there_may_be_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        exporter = ClickHouseSpanExporter(f"http://127.0.0.1:{taken.getsockname()[1]}/otel_usage")

        with pytest.raises(DeliveryError, match="^no answer from http://127.0.0.1:[0-9]+/otel_usage$"):
            exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))


def refusable(batch: Batch, text: str) -> Batch:
    """Return the batch with a text where ClickHouse expects a time."""
    types = ["String", *(column.type for column in COLUMNS[1:])]
    columns = [[text] * len(batch.events), *to_columns(batch.events)[1:]]
    block = encode_native([column.name for column in COLUMNS], types, columns)
    return batch._replace(payload=Blocks(block, None))


def test_a_refused_batch_is_kept_with_its_reason(exporter: ClickHouseSpanExporter, usage: ClickHouse) -> None:
    events = EventMaker()(build_span("liked", {names.PROPERTY_PREFIX + "color": "red\udcff"}))
    batch = refusable(exporter.freeze(events, "refused"), "no time")

    with pytest.raises(RejectedBatch) as caught:
        exporter.send(batch)
    exporter.set_aside(batch, str(caught.value))

    ((reason, event_id, body),) = usage.query("SELECT reason, event_id, body FROM rejected_events").rows
    assert reason == str(caught.value)
    assert event_id == events[0].id
    assert json.loads(body)[names.PROPERTY_PREFIX + "color"] == "red\udcff"
    assert usage.query("SELECT count() FROM events").rows == [(0,)]


def test_no_error_shows_what_is_in_the_batch(exporter: ClickHouseSpanExporter) -> None:
    events = EventMaker()(build_span("liked", {names.CLIENT_ADDRESS: "203.0.113.7"}))
    batch = exporter.freeze(events, "t")

    with pytest.raises(RejectedBatch) as caught:
        exporter.send(refusable(batch, "203.0.113.7"))

    assert "203.0.113.7" not in str(caught.value)


def test_by_hand_in_the_sdks_own_batch_processor(dsn: str, usage: ClickHouse) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ClickHouseSpanExporter(dsn, funnels=[FUNNEL])))
    tracer = provider.get_tracer("app")

    for number in range(10):
        attributes: dict[str, str | int] = {
            names.EVENT_NAME: "request",
            names.PATH: "/cart",
            names.STATUS_CODE: 200,
        }
        tracer.start_span(f"usage {number}", attributes=attributes).end()
        tracer.start_span("work").end()
    provider.shutdown()

    assert usage.query("SELECT event_name, count() FROM events GROUP BY event_name ORDER BY 1").rows == [
        ("request", 10),
        ("stage_reached", 10),
    ]
    assert usage.query("SELECT DISTINCT browser FROM events WHERE event_name = 'request'").rows == [
        ("unknown",)
    ]


def test_by_hand_one_odd_span_does_not_take_the_others_with_it(
    exporter: ClickHouseSpanExporter, usage: ClickHouse
) -> None:
    broken = build_span()
    broken._resource = None  # type: ignore[assignment]

    assert exporter.export([build_span(), broken, build_span("")]) is SpanExportResult.SUCCESS

    assert usage.query("SELECT count() FROM events WHERE event_name = 'request'").rows == [(1,)]


def test_by_hand_spans_that_are_no_usage_need_no_clickhouse() -> None:
    exporter = ClickHouseSpanExporter("http://127.0.0.1:1/otel_usage")

    assert exporter.export([build_span("")]) is SpanExportResult.SUCCESS
    assert exporter.force_flush()


def test_by_hand_a_batch_that_cannot_be_sent_is_given_up_in_time(caplog: pytest.LogCaptureFixture) -> None:
    exporter = ClickHouseSpanExporter("http://127.0.0.1:1/otel_usage", export_timeout_seconds=0.01)

    assert exporter.export([build_span()]) is SpanExportResult.FAILURE

    assert caplog.messages == ["Lost 1 usage events: no answer from http://127.0.0.1:1/otel_usage"]


def test_after_its_shutdown_it_takes_nothing(
    exporter: ClickHouseSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    exporter.shutdown()

    assert exporter.export([build_span()]) is SpanExportResult.FAILURE
    assert caplog.messages == ["Exporter already shut down, dropping 1 spans"]


def test_without_a_dsn_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_USAGE_DSN", raising=False)

    with pytest.raises(SettingError) as caught:
        ClickHouseSpanExporter()

    assert str(caught.value) == (
        "ClickHouseSpanExporter has no DSN. Pass dsn= or set OTEL_USAGE_DSN, "
        "for example to http://localhost:8123/otel_usage"
    )


def test_a_dsn_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(SettingError):
        ClickHouseSpanExporter("http://localhost:8123/no-such-name!")


def test_the_dsn_of_the_environment_is_the_default(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", dsn)
    exporter = ClickHouseSpanExporter()

    exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))
    exporter.shutdown()


FORKING = """
import os, sys
from otel_usage import ClickHouseSpanExporter, UsageSpanProcessor
from tests.pipeline.spans import build_span

processor = UsageSpanProcessor(ClickHouseSpanExporter(sys.argv[1]))
processor.on_end(build_span("parent"))
assert processor.force_flush(30_000)   # the connection is open at the fork
processor.on_end(build_span("parent"))
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        for _ in range(10):
            processor.on_end(build_span(f"child {number}"))
        processor.force_flush(60_000)
        processor.shutdown()
        os._exit(0 if processor.accounting().stored == 10 else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
processor.force_flush(60_000)
processor.shutdown()
assert processor.accounting().stored == 2
"""


def test_each_process_of_a_fork_stores_its_own_events_once(dsn: str, usage: ClickHouse) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, dsn],
        check=True,
        timeout=120,
        cwd=ROOT,
        env=dict(os.environ),
    )

    assert usage.query("SELECT event_name, count() FROM events GROUP BY event_name ORDER BY 1").rows == [
        ("child 0", 10),
        ("child 1", 10),
        ("child 2", 10),
        ("parent", 2),
    ]


def test_a_batch_that_several_threads_flush_is_stored_once(dsn: str, usage: ClickHouse) -> None:
    processor = UsageSpanProcessor(ClickHouseSpanExporter(dsn), batch_size=50)

    def load() -> None:
        for _ in range(200):
            processor.on_end(build_span())
        processor.force_flush(30_000)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: processor.accounting().waiting == 0, "sending everything")
    processor.shutdown()

    assert usage.query("SELECT count(), uniqExact(event_id) FROM events").rows == [(800, 800)]
