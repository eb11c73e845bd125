"""What a Collector sends twice counts once if it is the same, and is found and mended if it was cut anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.doctor import examine
from otel_usage.model import Event
from otel_usage.pipeline.events import to_span
from otel_usage.schema.hold import hold_inserts
from otel_usage.schema.landing import LANDINGS, apply_landing
from otel_usage.schema.rebuild import rebuild_day
from tests.builders import build_event, build_stage
from tests.collector_rows import traces_rows
from tests.landing import native_block, send_block
from tests.serving import ServeProcess

COUNTS = {
    "otel_traces": "count()",
    "events": "count()",
    "rejected_events": "count()",
    "browsers_daily": "sum(requests)",
    "ips_daily": "sum(requests)",
    "pages_daily": "sum(requests)",
    "objects_daily": "sum(views)",
    "counters_daily": "sum(value)",
    "visits": "sum(requests)",
    "funnel_stages": "count()",
    "summaries_daily": "sum(hits)",
}


def counts(client: ClickHouse) -> dict[str, int]:
    return {view: client.query(f"SELECT {what} FROM {view}").rows[0][0] for view, what in COUNTS.items()}


def a_batch(visit: str) -> list[Event]:
    """Return some events of which each view makes something; those of another visit give rows that look alike."""
    malformed = build_event(names.COUNTER, object_type="post", object_id="1", counter_name="likes")
    return [
        build_event(visit=visit, visitor="w", is_new=True),
        build_event(names.OBJECT_VIEWED, visit=visit, object_type="product", object_id="7"),
        build_event(names.COUNTER, object_type="post", object_id="1", counter_name="likes", counter_value=2),
        build_stage(1, "2026-03-10T12:00:00", visit=visit),
        malformed,
    ]


def block_of(events: list[Event]) -> bytes:
    return native_block(traces_rows([to_span(event) for event in events]))


@pytest.fixture(params=LANDINGS)
def landing(request: pytest.FixtureRequest, usage: ClickHouse) -> Iterator[ClickHouse]:
    """A database whose landing table keeps spans, then one whose does not."""
    apply_landing(usage, request.param, None)
    yield usage
    apply_landing(usage, "mergetree", None)


def test_a_batch_that_comes_again_byte_for_byte_counts_once(landing: ClickHouse) -> None:
    block = block_of(a_batch("v"))
    send_block(landing, block)
    expected = counts(landing)

    send_block(landing, block)

    assert counts(landing) == expected
    assert [view for view, number in expected.items() if not number and view != "otel_traces"] == []


def test_batches_of_which_views_make_equal_rows_both_count(landing: ClickHouse) -> None:
    # Equal in all but their ids, of which no state knows.
    first, second = block_of(a_batch("v")), block_of(a_batch("v"))
    send_block(landing, first)
    once = counts(landing)

    for block in (second, first, second):
        send_block(landing, block)

    doubled = {view: 2 * number for view, number in once.items()}
    assert counts(landing) == doubled | {"funnel_stages": once["funnel_stages"]}


def test_a_batch_that_is_refused_while_inserts_are_held_counts_once_when_it_comes_again(
    landing: ClickHouse,
) -> None:
    block = block_of(a_batch("v"))
    with hold_inserts(landing), pytest.raises(AssertionError, match="inserts_held"):
        send_block(landing, block)
    assert counts(landing)["events"] == 0

    send_block(landing, block)
    expected = counts(landing)
    send_block(landing, block)

    assert counts(landing) == expected
    assert (expected["events"], expected["visits"]) == (4, 1)


def test_equal_events_among_other_spans_are_another_batch(usage: ClickHouse) -> None:
    # Cut anew, they count twice: nothing tells them from events that happened twice.
    rows = traces_rows([to_span(event) for event in a_batch("v")])
    send_block(usage, native_block(rows))
    once = counts(usage)

    send_block(usage, native_block(rows[::-1]))

    assert counts(usage)["events"] == 2 * once["events"]


def test_a_batch_that_was_cut_anew_is_mended_by_a_rebuild(usage: ClickHouse) -> None:
    rows = traces_rows([to_span(event) for event in a_batch("v")])
    send_block(usage, native_block(rows))
    once = counts(usage)
    send_block(usage, native_block(rows[:2]))
    send_block(usage, native_block(rows[2:]))
    assert counts(usage)["visits"] == 2 * once["visits"]

    rebuild_day(usage, date(2026, 3, 10))

    raw = {"otel_traces", "events", "rejected_events"}
    mended = counts(usage)
    assert {view: mended[view] for view in mended.keys() - raw} == {
        view: once[view] for view in once.keys() - raw
    }


def test_doctor_finds_a_batch_that_was_cut_anew(serve: ServeProcess, usage: ClickHouse) -> None:
    event = build_event()._replace(timestamp_ns=time.time_ns())
    row = traces_rows([to_span(event)])[0]

    send_block(usage, native_block([row]))
    send_block(usage, native_block([row, row | {"SpanAttributes": {}}]))

    faults = [finding.text for finding in examine(serve.dsn_of(usage.dsn.database)) if not finding.is_good]
    assert len(faults) == 1
    assert faults[0].startswith("events are stored twice on: ")
    assert faults[0].endswith(
        "Run for each day, to count them once in the views: otel-usage rebuild --day DAY"
    )
