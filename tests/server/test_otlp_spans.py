from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from otel_usage.model import NO_SPAN
from otel_usage.pipeline.events import SCOPE_NAME
from otel_usage.server.otlp_spans import MalformedRequest, read_json, read_protobuf

TRACE_ID, SPAN_ID, PARENT_ID = bytes(range(16)), bytes(range(8)), bytes(range(8, 16))


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def build_request(**attributes: AnyValue) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.append(KeyValue(key="service.name", value=text("shop")))
    span = resource_spans.scope_spans.add().spans.add(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=PARENT_ID,
        name="GET /",
        start_time_unix_nano=1_700_000_000_000_000_001,
        end_time_unix_nano=1_700_000_000_000_000_101,
    )
    given = {"usage.event.id": text("x"), "usage.event.name": text("request"), **attributes}
    span.attributes.extend(KeyValue(key=key, value=value) for key, value in given.items())
    return request


def build_json(**attributes: Any) -> dict[str, Any]:
    given = {
        "usage.event.id": {"stringValue": "x"},
        "usage.event.name": {"stringValue": "request"},
        **attributes,
    }
    span = {
        "traceId": TRACE_ID.hex().upper(),
        "spanId": SPAN_ID.hex(),
        "parentSpanId": PARENT_ID.hex(),
        "name": "GET /",
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": 1_700_000_000_000_000_101,
        "attributes": [{"key": key, "value": value} for key, value in given.items()],
        "unknownField": {"is": ["ignored"]},
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}


def test_protobuf_and_json_give_the_same_event() -> None:
    protobuf = build_request(
        text=text("é"),
        empty=text(""),
        flag=AnyValue(bool_value=False),
        number=AnyValue(int_value=-(2**63)),
        ratio=AnyValue(double_value=0.5),
        bytes=AnyValue(bytes_value=b"\x00\xff"),
        list=AnyValue(array_value=ArrayValue(values=[text("a"), AnyValue(int_value=1)])),
        map=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=text("v"))])),
        nothing=AnyValue(),
    )
    as_json = build_json(
        text={"stringValue": "é"},
        empty={"stringValue": ""},
        flag={"boolValue": False},
        number={"intValue": str(-(2**63))},
        ratio={"doubleValue": 0.5},
        bytes={"bytesValue": base64.b64encode(b"\x00\xff").decode()},
        list={"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}},
        map={"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
        nothing={},
    )

    (event,) = read_protobuf(protobuf.SerializeToString()).events
    (same,) = read_json(json.dumps(as_json).encode()).events

    assert event == same
    assert event[:7] == ("request", 1_700_000_000_000_000_001, 100, TRACE_ID, SPAN_ID, PARENT_ID, "shop")
    assert event.attributes["bytes"] == "AP8="
    assert event.attributes["list"] == ["a", 1]
    assert "nothing" not in event.attributes


def test_what_no_attribute_can_hold_becomes_the_text_that_a_collector_stores() -> None:
    nested = KeyValueList(
        values=[KeyValue(key="b", value=text("é<")), KeyValue(key="a", value=AnyValue(double_value=1.0))]
    )
    parts = [AnyValue(kvlist_value=nested), AnyValue(array_value=ArrayValue(values=[text("x"), text("y")]))]
    request = build_request(
        whole=AnyValue(double_value=2.0),
        huge=AnyValue(double_value=1e300),
        infinite=AnyValue(double_value=float("inf")),
        map=AnyValue(kvlist_value=nested),
        list=AnyValue(array_value=ArrayValue(values=[*parts, AnyValue(double_value=3.0)])),
    )

    (event,) = read_protobuf(request.SerializeToString()).events

    assert (event.attributes["whole"], repr(event.attributes["whole"])) == (2, "2")
    assert (event.attributes["huge"], event.attributes["infinite"]) == (1e300, float("inf"))
    assert event.attributes["map"] == '{"a":1,"b":"é<"}'
    assert event.attributes["list"] == ['{"a":1,"b":"é<"}', '["x","y"]', 3]


OLD_NAMES = {
    "http.method": text("GET"),
    "http.status_code": AnyValue(int_value=404),
    "http.response_content_length": AnyValue(int_value=7),
    "http.scheme": text("https"),
    "http.host": text("shop.example.org:8443"),
    "http.user_agent": text("curl/8"),
    "http.client_ip": text("192.0.2.1"),
    "net.peer.ip": text("192.0.2.2"),
    "enduser.id": text("7"),
}


NEW_NAMES = {
    "http.request.method": "GET",
    "http.response.status_code": 404,
    "http.response.body.size": 7,
    "url.scheme": "https",
    "server.address": "shop.example.org",
    "user_agent.original": "curl/8",
    "client.address": "192.0.2.1",
    "network.peer.address": "192.0.2.2",
    "user.id": "7",
}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ({"http.target": text("/a/b?c=1#d")}, "/a/b", "c=1"),
        ({"http.url": text("https://u@shop.example.org:8443/a?b=%20&c")}, "/a", "b=%20&c"),
        ({"http.url": text("http://[broken"), "http.target": text("/x")}, "/x", ""),
    ],
    ids=["target", "address", "both"],
)
def test_old_names_of_another_tracer_are_read(target: dict[str, AnyValue], path: str, query: str) -> None:
    request = build_request(**OLD_NAMES, **target)

    (event,) = read_protobuf(request.SerializeToString()).events

    expected = {**NEW_NAMES, "url.path": path, "url.query": query or None}
    assert {name: event.attributes.get(name) for name in expected} == expected


def test_a_new_name_wins_over_an_old_one() -> None:
    request = build_request(**{**OLD_NAMES, "http.request.method": text("POST"), "url.path": text("")})

    (event,) = read_protobuf(request.SerializeToString()).events

    assert (event.attributes["http.request.method"], event.attributes["url.path"]) == ("POST", "")


def test_old_names_on_spans_of_ours_are_somebody_elses() -> None:
    request = build_request(**OLD_NAMES)
    request.resource_spans[0].scope_spans[0].scope.name = SCOPE_NAME

    (event,) = read_protobuf(request.SerializeToString()).events

    assert "http.request.method" not in event.attributes


def test_a_span_without_event_id_is_the_apps_own_and_ignored() -> None:
    request = build_request()
    del request.resource_spans[0].scope_spans[0].spans[0].attributes[0]

    read = read_protobuf(request.SerializeToString())

    assert (read.events, read.ignored, read.rejected) == ([], 1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("trace_id", b"short"), ("span_id", b""), ("start_time_unix_nano", 0), ("start_time_unix_nano", 2**63)],
)
def test_a_span_that_cannot_be_stored_is_counted(field: str, value: object) -> None:
    request = build_request()
    setattr(request.resource_spans[0].scope_spans[0].spans[0], field, value)

    read = read_protobuf(request.SerializeToString())

    assert (read.events, read.rejected) == ([], 1)


def test_a_span_that_ends_before_its_start_takes_no_time_and_an_odd_parent_is_none() -> None:
    request = build_request()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.end_time_unix_nano, span.parent_span_id = 5, b"odd"

    (event,) = read_protobuf(request.SerializeToString()).events

    assert (event.duration_ns, event.parent_span_id) == (0, NO_SPAN)


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"{}", build_request(x=text("y")).SerializeToString()[:-1]]
)
def test_a_body_that_is_no_protobuf_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_protobuf(body)


def changed(path: list[Any], value: object) -> bytes:
    request: Any = build_json()
    target = request
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return json.dumps(request).encode()


SPAN = ["resourceSpans", 0, "scopeSpans", 0, "spans", 0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"resourceSpans": {}}',
        b'{"resourceSpans": [1]}',
        b"[" * 100_000,
        b'{"resourceSpans": ' + b"[" * 100_000,
        changed([*SPAN, "traceId"], "not hex"),
        changed([*SPAN, "traceId"], 5),
        changed([*SPAN, "startTimeUnixNano"], "soon"),
        changed([*SPAN, "startTimeUnixNano"], "9" * 5000),
        changed([*SPAN, "attributes"], {"a": 1}),
        changed([*SPAN, "attributes", 0, "key"], 5),
        changed([*SPAN, "attributes", 0, "value"], "text"),
        changed([*SPAN, "attributes", 0, "value"], {"stringValue": 5}),
        changed([*SPAN, "attributes", 0, "value"], {"bytesValue": "!"}),
        changed([*SPAN, "attributes", 0, "value"], {"boolValue": "true"}),
        changed([*SPAN, "attributes", 0], {}),
    ],
)
def test_a_body_that_is_no_json_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_json(body)


def test_an_empty_request_holds_nothing() -> None:
    assert read_protobuf(b"").events == read_json(b"{}").events == []
    assert read_json(b'{"resourceSpans": [{"scopeSpans": null}]}').events == []
