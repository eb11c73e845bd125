"""Events that were rejected where they were made: past the views, and counted exactly."""

from __future__ import annotations

import io
import json

import pytest

from otel_usage import ClickHouseSpanExporter, UsageSpanProcessor
from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import DeliveryError, NotSetAside, RejectedBatch
from otel_usage.model import AttributeValue
from otel_usage.pipeline import sender as sender_module
from otel_usage.pipeline.accounting import AccountingSnapshot
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters import Batch, EventExporter
from otel_usage.pipeline.exporters.console import ConsoleExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.schema import migrate
from tests.databases import new_database
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter
from tests.server.http import ask
from tests.serving import ServeProcess

GOOD: dict[str, AttributeValue] = {
    names.OBJECT_TYPE: "item",
    names.OBJECT_ID: "1",
    names.COUNTER_NAME: "clicks",
    names.COUNTER_VALUE: 2,
}
UNKNOWN: dict[str, AttributeValue] = {
    names.REJECTED_REASON: "unknown_counter",
    names.REJECTED_EVENT: "counter",
    names.COUNTER_NAME: "clix",
}


def run(exporter: EventExporter) -> AccountingSnapshot:
    """Send three requests, two counters, two rejected events of one kind and one of another."""
    processor = UsageSpanProcessor(exporter)
    for _ in range(3):
        processor.on_end(build_span())
    for _ in range(2):
        processor.on_end(build_span(names.COUNTER, {**GOOD}))
        processor.on_end(build_span(names.REJECTED, {**UNKNOWN}))
    processor.on_end(build_span(names.COUNTER, {**GOOD, names.COUNTER_VALUE: "many"}))
    assert processor.force_flush(30_000)
    processor.shutdown()
    return processor.accounting()


def rows(client: ClickHouse) -> tuple[object, ...]:
    """Return what is counted, and what is set aside."""
    return (
        client.query("SELECT count() FROM events").rows[0][0],
        client.query("SELECT sum(value) FROM counters_daily").rows[0][0],
        client.query("SELECT reason, count() FROM rejected_events GROUP BY reason ORDER BY reason").rows,
    )


SET_ASIDE = (5, 4, [("not_a_whole_number", 1), ("unknown_counter", 2)])
COUNTED = AccountingSnapshot(8, 5, 0, {}, {"unknown_counter": 2, "not_a_whole_number": 1}, {})


def test_rejected_events_are_set_aside_and_the_others_of_their_batch_counted(
    serve: ServeProcess, usage: ClickHouse
) -> None:
    counted = run(ClickHouseSpanExporter(serve.dsn_of(usage.dsn.database)))

    assert rows(usage) == SET_ASIDE
    assert counted == COUNTED


def test_over_otlp_they_are_set_aside_by_serve(serve: ServeProcess) -> None:
    def asked(table: str) -> int:
        return int(ask(serve, f"SELECT count() FROM {table}").text)

    events, rejected = asked("events"), asked("rejected_events")

    counted = run(OtlpExporter(serve.otlp_url))

    assert counted == COUNTED
    assert (asked("events") - events, asked("rejected_events") - rejected) == (5, 3)


def test_the_console_prints_them_with_their_reason() -> None:
    output = io.StringIO()

    counted = run(ConsoleExporter(output))

    lines = [json.loads(line)["attributes"] for line in output.getvalue().splitlines()]
    assert [line.get(names.REJECTED_REASON) for line in lines].count("unknown_counter") == 2
    assert counted == COUNTED


def test_what_was_given_can_be_looked_up(serve: ServeProcess, usage: ClickHouse) -> None:
    exporter = ClickHouseSpanExporter(serve.dsn_of(usage.dsn.database))
    (event,) = EventMaker()(build_span(names.REJECTED, {**UNKNOWN, names.REJECTED_VALUE: "many"}))

    exporter.send(exporter.freeze([event], "t"))
    exporter.shutdown()

    ((event_id, body),) = usage.query("SELECT event_id, body FROM rejected_events").rows
    assert event_id == event.id
    assert json.loads(body)[names.REJECTED_VALUE] == "many"


def test_a_batch_that_is_sent_again_sets_nothing_aside_twice(serve: ServeProcess, usage: ClickHouse) -> None:
    exporter = ClickHouseSpanExporter(serve.dsn_of(usage.dsn.database))
    spans = [build_span(), build_span(names.REJECTED, {**UNKNOWN})]
    batch = exporter.freeze([event for span in spans for event in EventMaker()(span)], "again")

    for _ in range(3):
        exporter.send(batch)
    exporter.shutdown()

    assert rows(usage) == (1, 0, [("unknown_counter", 1)])


def test_without_a_place_for_them_the_others_count_and_they_are_lost() -> None:
    def fail(attempt: int) -> None:
        raise NotSetAside("ClickHouse error 497")

    counted = run(RecordingExporter(fail))

    assert counted == AccountingSnapshot(8, 5, 0, {}, {}, {"rejected_and_lost": 3})


def test_an_account_that_may_not_set_aside_still_stores(serve: ServeProcess) -> None:
    with new_database(serve) as client:
        migrate(client)
        client.command("ALTER TABLE rejected_events ADD CONSTRAINT closed CHECK reason = ''")
        exporter = ClickHouseSpanExporter(serve.dsn_of(client.dsn.database))
        counted = run(exporter)

        assert rows(client) == (5, 4, [])

    assert counted == AccountingSnapshot(8, 5, 0, {}, {}, {"rejected_and_lost": 3})


def test_one_refused_batch_keeps_the_reason_of_each_event(serve: ServeProcess, usage: ClickHouse) -> None:
    class RefusingExporter(ClickHouseSpanExporter):
        def send(self, batch: Batch) -> None:
            raise RejectedBatch("ClickHouse error 27")

    counted = run(RefusingExporter(serve.dsn_of(usage.dsn.database)))

    assert rows(usage)[2] == [("ClickHouse error 27", 5), *SET_ASIDE[2]]
    assert counted.rejected == {"refused": 5, "unknown_counter": 2, "not_a_whole_number": 1}
    assert sum(counted.rejected.values()) == counted.seen


def test_they_wait_for_clickhouse_like_the_others(
    serve: ServeProcess, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_FIRST_RETRY_SECONDS", 0.001)

    class LateExporter(ClickHouseSpanExporter):
        attempts = 0

        def _insert_rejected(self, block: bytes, token: str) -> None:
            super()._insert_rejected(block, token)
            self.attempts += 1
            if self.attempts % 3:
                raise DeliveryError("the answer was lost on its way")

    counted = run(LateExporter(serve.dsn_of(usage.dsn.database)))

    assert rows(usage) == SET_ASIDE
    assert counted == COUNTED
