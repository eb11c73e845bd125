"""Usage spans that were not made by our exporter: other names, lists, and whatever else may stand in `otel_traces`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.pipeline.rows import address_bytes
from tests.builders import NOON, nanoseconds
from tests.collector_rows import COLLECTOR, OLD_COLLECTOR, ROTEL, Dialect, traces_rows
from tests.landing import land_rows, land_spans

START_NS = nanoseconds(NOON)


def foreign_span(
    attributes: Mapping[str, Any],
    name: str = "GET /shop",
    *,
    kind: SpanKind = SpanKind.SERVER,
    span_id: int = 9,
) -> ReadableSpan:
    """Return a span that somebody else's pipeline has marked as usage event."""
    context = SpanContext(7, span_id, False, TraceFlags(TraceFlags.SAMPLED))
    return ReadableSpan(
        name,
        context,
        resource=Resource({"service.name": "theirs"}),
        attributes={names.EVENT_ID: "any", **attributes},
        kind=kind,
        start_time=START_NS,
        end_time=START_NS + 5,
        instrumentation_scope=InstrumentationScope("theirs"),
    )


def only_event(client: ClickHouse, *columns: str) -> dict[str, Any]:
    rows = client.query(f"SELECT {', '.join(columns)} FROM events").rows
    assert len(rows) == 1
    return dict(zip(columns, rows[0], strict=True))


def test_a_span_without_event_id_is_a_trace_and_no_event(usage: ClickHouse) -> None:
    span = foreign_span({})
    row = traces_rows([span])[0]

    land_rows(usage, [row | {"SpanAttributes": {names.EVENT_NAME: "request"}}])

    counts = "SELECT (SELECT count() FROM otel_traces), (SELECT count() FROM events), (SELECT count() FROM rejected_events)"
    assert usage.query(counts).rows == [(1, 0, 0)]


OLD_NAMES = {
    "http.method": "POST",
    "http.status_code": 404,
    "http.response_content_length": 12,
    "http.scheme": "https",
    "http.target": "/a/b?c=d&e=f",
    "net.host.name": "shop.example",
    "http.user_agent": "curl/8",
    "http.client_ip": "192.0.2.9",
    "net.peer.ip": "10.0.0.1",
    "enduser.id": "kim",
}
OLD_COLUMNS = {
    "method": "POST",
    "status_code": 404,
    "bytes_sent": 12,
    "scheme": "https",
    "path": "/a/b",
    "query": "c=d&e=f",
    "host": "shop.example",
    "user_agent": "curl/8",
    "client_address": IPv6Address("::ffff:192.0.2.9"),
    "peer_address": IPv6Address("::ffff:10.0.0.1"),
    "user_id": "kim",
}


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [
        pytest.param(COLLECTOR, SpanKind.SERVER, id="Collector"),
        pytest.param(OLD_COLLECTOR, SpanKind.CONSUMER, id="old Collector"),
        pytest.param(ROTEL, SpanKind.INTERNAL, id="rotel"),
    ],
)
def test_old_names_of_http_attributes_are_read_whoever_wrote_them(
    usage: ClickHouse, dialect: Dialect, kind: SpanKind
) -> None:
    land_spans(usage, foreign_span({names.EVENT_NAME: "request", **OLD_NAMES}, kind=kind), dialect=dialect)

    assert only_event(usage, *OLD_COLUMNS) == OLD_COLUMNS


def test_present_names_win_over_old_ones(usage: ClickHouse) -> None:
    present = {
        names.METHOD: "GET",
        names.STATUS_CODE: 200,
        names.PATH: "/present",
        names.HOST: "present.example",
        names.CLIENT_ADDRESS: "192.0.2.1",
    }

    land_spans(usage, foreign_span({**OLD_NAMES, **present}))

    assert only_event(usage, "method", "status_code", "path", "host", "toString(client_address)") == {
        "method": "GET",
        "status_code": 200,
        "path": "/present",
        "host": "present.example",
        "toString(client_address)": "::ffff:192.0.2.1",
    }


OLD_URLS = (
    ({"http.url": "https://shop.example/x/y?z=1"}, ("/x/y", "z=1", "")),
    ({"http.target": "/only"}, ("/only", "", "")),
    ({"http.target": "*"}, ("", "", "")),
    ({"http.host": "shop.example:8443"}, ("", "", "shop.example")),
    ({"http.host": "[2001:db8::1]:80"}, ("", "", "[2001:db8::1]")),
    ({"http.server_name": "shop.example"}, ("", "", "shop.example")),
)


def test_an_old_url_is_taken_apart(usage: ClickHouse) -> None:
    land_spans(
        usage,
        *[foreign_span(attributes, span_id=number) for number, (attributes, _) in enumerate(OLD_URLS, 1)],
    )

    rows = usage.query("SELECT path, query, host FROM events ORDER BY span_id").rows
    assert rows == [expected for _, expected in OLD_URLS]


def test_our_own_spans_are_taken_at_their_word(usage: ClickHouse) -> None:
    # An app's own instrumentation may still write old names beside ours, which hold what was redacted.
    row = traces_rows([foreign_span(OLD_NAMES | {names.USER_ID: '["a","b"]'})])[0]

    land_rows(usage, [row | {"ScopeName": "otel_usage"}])

    assert only_event(usage, "method", "path", "query", "user_id") == {
        "method": "",
        "path": "",
        "query": "",
        "user_id": '["a","b"]',
    }


LISTS: tuple[tuple[Any, str], ...] = (
    (["a", "b"], "a,b"),
    (['<é> & "q" \\ \'', "漢"], '<é> & "q" \\ \',漢'),
    ([1, -2], "1,-2"),
    ([1.5, 2.25], "1.5,2.25"),
    ([True, False], "true,false"),
    ([], ""),
    (["x"] * 150, ",".join(["x"] * 100)),
    ("[no list", "[no list"),
    ("{no map}", "{no map}"),
)


@pytest.mark.parametrize(
    "dialect", [COLLECTOR, OLD_COLLECTOR, ROTEL], ids=["Collector", "old Collector", "rotel"]
)
def test_a_list_is_its_parts_with_commas_between(usage: ClickHouse, dialect: Dialect) -> None:
    spans = [
        foreign_span({"usage.property.p": value, names.USER_ID: value}, span_id=number)
        for number, (value, _) in enumerate(LISTS, 1)
    ]

    land_spans(usage, *spans, dialect=dialect)

    rows = usage.query("SELECT user_id, properties['p'] FROM events ORDER BY span_id").rows
    assert rows == [(text, text) for _, text in LISTS]


def test_the_name_of_a_span_is_the_event_where_nothing_names_it(usage: ClickHouse) -> None:
    land_spans(usage, foreign_span({}, name="checkout"))

    assert only_event(usage, "event_name", "service_name", "duration_ns") == {
        "event_name": "checkout",
        "service_name": "theirs",
        "duration_ns": 5,
    }


COUNTER = {names.EVENT_NAME: names.COUNTER, names.COUNTER_NAME: "likes"}
WHOLE: tuple[Any, ...] = (3, -(2**63), 2**63 - 1, 3.0, 2.0**53, True)
MALFORMED: tuple[tuple[Any, str], ...] = (
    (2.5, "not_a_whole_number"),
    (float("nan"), "not_a_whole_number"),
    ("three", "not_a_whole_number"),
    ([3], "not_a_whole_number"),
    ("", "not_a_whole_number"),
    (float("inf"), "out_of_range"),
    (-1e300, "out_of_range"),
    (1e20, "out_of_range"),
)


def test_a_counter_that_can_be_counted_is(usage: ClickHouse) -> None:
    values = enumerate(WHOLE, 1)

    land_spans(
        usage, *[foreign_span({**COUNTER, names.COUNTER_VALUE: value}, span_id=n) for n, value in values]
    )

    rows = usage.query("SELECT counter_value FROM events ORDER BY span_id").rows
    assert [row[0] for row in rows] == [int(value) for value in WHOLE]
    assert usage.query("SELECT count() FROM rejected_events").rows == [(0,)]


def test_a_counter_that_cannot_be_counted_is_set_aside(usage: ClickHouse) -> None:
    values = enumerate(MALFORMED, 1)

    land_spans(
        usage, *[foreign_span({**COUNTER, names.COUNTER_VALUE: value}, span_id=n) for n, (value, _) in values]
    )

    rows = usage.query("SELECT reason FROM rejected_events ORDER BY event_id").rows
    assert [row[0] for row in rows] == [reason for _, reason in MALFORMED]
    assert usage.query("SELECT count() FROM events").rows == [(0,)]


UNSTORABLE: tuple[dict[str, Any], ...] = (
    {"TraceId": ""},
    {"TraceId": "7" * 31},
    {"TraceId": "7" * 33},
    {"TraceId": "g" * 32},
    {"SpanId": ""},
    {"SpanId": "z" * 16},
    {"SpanId": "9" * 1_000},
    {"Timestamp": 0},
    {"Timestamp": -1},
)


def test_a_span_that_no_event_can_be_made_of_is_set_aside(usage: ClickHouse) -> None:
    row = traces_rows([foreign_span({})])[0]

    land_rows(usage, [row, *[row | change for change in UNSTORABLE]])

    assert usage.query("SELECT count() FROM events").rows == [(1,)]
    rows = usage.query("SELECT reason, count() FROM rejected_events GROUP BY reason").rows
    assert rows == [("ids or time cannot be stored", len(UNSTORABLE))]


def test_a_time_far_away_is_stored_as_the_exporter_would(usage: ClickHouse) -> None:
    row = traces_rows([foreign_span({})])[0]

    land_rows(usage, [row | {"Timestamp": moment} for moment in (1, 2**63 - 1)])

    rows = usage.query("SELECT toUnixTimestamp64Nano(timestamp) AS ns FROM events ORDER BY ns").rows
    assert rows == [(1,), (2**63 - 1,)]


def test_a_parent_that_is_no_id_is_none(usage: ClickHouse) -> None:
    row = traces_rows([foreign_span({})])[0]

    land_rows(usage, [row | {"ParentSpanId": parent} for parent in ("", "short", "g" * 16, "0" * 17)])

    assert usage.query("SELECT DISTINCT parent_span_id FROM events").rows == [("0" * 16,)]


def test_an_end_before_the_start_is_no_time_at_all(usage: ClickHouse) -> None:
    row = traces_rows([foreign_span({})])[0]

    land_rows(usage, [row | {"Duration": 2**64 - 1_000}])

    assert only_event(usage, "duration_ns") == {"duration_ns": 0}


def odd_address(chance: random.Random) -> str:
    """Return something that looks more or less like an address."""
    groups = ("0", "00", "0000", "00000", "1", "ab", "FFFF", "g", "db8", "")
    tails = ("", "", "", ":1.2.3.4", ":1.2.3.04", ":1.2.3", "%eth0", "%", "%a%b", "/64", " ")
    parts = [chance.choice(groups) if chance.random() < 0.3 else "1" for _ in range(chance.randrange(1, 10))]
    text = ":".join(parts).replace(":", chance.choice((":", "::", ".")), 1) + chance.choice(tails)
    if chance.random() < 0.3:
        text = ".".join(
            str(chance.choice((0, 1, 255, 256, "01", ""))) for _ in range(chance.choice((3, 4, 4, 4, 5)))
        )
    return chance.choice(("", "", "::", ":")) + text


def test_addresses_are_read_as_python_reads_them(usage: ClickHouse) -> None:
    chance = random.Random(8)
    addresses = [odd_address(chance) for _ in range(3_000)]
    row = traces_rows([foreign_span({})])[0]

    land_rows(
        usage,
        [
            row | {"SpanAttributes": {names.EVENT_ID: "any", names.USER_ID: text, names.CLIENT_ADDRESS: text}}
            for text in addresses
        ],
    )

    rows = usage.query("SELECT DISTINCT user_id, client_address FROM events").rows
    assert {text: address.packed for text, address in rows} == {
        text: address_bytes(text) for text in addresses
    }
    assert len({address for _, address in rows}) > 50


def test_bytes_that_are_no_text_are_stored_as_what_can_be_read_of_them(usage: ClickHouse) -> None:
    usage.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, ServiceName, SpanAttributes) VALUES "
        "('2026-03-10 12:00:00', repeat('a', 32), repeat('b', 16), unhex('FF41'), unhex('C3'), "
        "map('usage.event.id', 'x', 'url.path', unhex('2FFF2F'), 'usage.property.p', unhex('E6BC')))"
    )

    assert only_event(usage, "event_name", "service_name", "path", "properties") == {
        "event_name": "\ufffdA",
        "service_name": "\ufffd",
        "path": "/\ufffd/",
        "properties": {"p": "\ufffd"},
    }


def test_text_of_ten_megabytes_is_cut(usage: ClickHouse) -> None:
    row = traces_rows([foreign_span({})])[0]
    huge = "é" * 5_000_000

    land_rows(
        usage,
        [
            row
            | {
                "SpanName": huge,
                "SpanAttributes": {names.EVENT_ID: "x", names.PATH: huge, names.VISIT_KEY: huge},
            }
        ],
    )

    cut = only_event(
        usage, "lengthUTF8(event_name)", "lengthUTF8(path)", "lengthUTF8(properties['session.id'])"
    )
    assert list(cut.values()) == [256, 2048, 256]
