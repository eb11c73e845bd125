"""OTLP over HTTP into `events`, with real requests against a real server."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Mapping

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_usage.model import NO_SPAN, Event
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from tests.server.http import Answer, ask, send
from tests.server.test_otlp_spans import build_json, build_request, text
from tests.serving import ServeProcess, start_serve

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def service() -> str:
    """A service name of the test's own, by which it finds its rows."""
    return f"otlp-{os.urandom(8).hex()}"


def post(serve: ServeProcess, body: bytes, headers: Mapping[str, str] = PROTOBUF) -> Answer:
    return send(serve.otlp_url, "/v1/traces", body=body, headers=headers)


def build_body(service: str, count: int = 1) -> bytes:
    request = build_request()
    resource_spans = request.resource_spans[0]
    resource_spans.resource.attributes[0].value.string_value = service
    spans = resource_spans.scope_spans[0].spans
    for _ in range(count - 1):
        spans.append(spans[0])
    for span in spans:
        span.trace_id, span.span_id = os.urandom(16), os.urandom(8)
        span.start_time_unix_nano = time.time_ns()
    return bytes(request.SerializeToString())


def stored(serve: ServeProcess, service: str) -> int:
    return int(
        ask(serve, "SELECT count() FROM events WHERE service_name = {s:String}", {"param_s": service}).text
    )


@pytest.mark.parametrize(
    ("encoding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstandard.compress)]
)
def test_a_protobuf_request_becomes_rows(
    serve: ServeProcess, service: str, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    answer = post(serve, pack(build_body(service, 3)), {**PROTOBUF, "Content-Encoding": encoding})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(answer.body) == ExportTraceServiceResponse()
    assert stored(serve, service) == 3


def test_a_json_request_becomes_rows(serve: ServeProcess, service: str) -> None:
    request = build_json()
    request["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"] = service

    answer = post(serve, json.dumps(request).encode(), JSON)

    assert (answer.status, answer.headers["content-type"], json.loads(answer.body)) == (
        200,
        "application/json",
        {},
    )
    assert stored(serve, service) == 1


def test_the_views_follow(serve: ServeProcess, service: str) -> None:
    post(serve, build_body(service, 5))

    sql = "SELECT sum(requests) FROM browsers_daily WHERE service_name = {s:String}"
    assert ask(serve, sql, {"param_s": service}).text == "5\n"


def test_the_same_request_counts_once_however_often_it_comes(serve: ServeProcess, service: str) -> None:
    body = build_body(service, 5)

    for _ in range(3):
        assert post(serve, body).status == 200

    assert stored(serve, service) == 5
    sql = "SELECT sum(requests) FROM pages_daily WHERE service_name = {s:String}"
    assert ask(serve, sql, {"param_s": service}).text == "5\n"


def test_a_batch_id_is_the_token(serve: ServeProcess, service: str) -> None:
    headers = {**PROTOBUF, "x-otel-usage-batch-id": f"batch:{service}"}
    body = build_body(service, 2)

    post(serve, body, headers)
    post(serve, gzip.compress(body), {**headers, "Content-Encoding": "gzip"})

    assert stored(serve, service) == 2


@pytest.mark.parametrize("batch_id", ["", "a b", "a" * 129, "x'y", "\xe9"])
def test_a_batch_id_that_cannot_be_a_token_is_refused(
    serve: ServeProcess, service: str, batch_id: str
) -> None:
    answer = post(serve, build_body(service), {**PROTOBUF, "x-otel-usage-batch-id": batch_id})

    assert answer.status == 400
    assert stored(serve, service) == 0


def test_spans_of_the_apps_own_traces_are_accepted_and_counted_but_not_stored(
    serve: ServeProcess, service: str
) -> None:
    request = build_request(**{"http.route": text("/")})
    request.resource_spans[0].resource.attributes[0].value.string_value = service
    del request.resource_spans[0].scope_spans[0].spans[0].attributes[0]
    before = counts(serve)

    answer = post(serve, request.SerializeToString())

    assert answer.status == 200
    assert stored(serve, service) == 0
    assert counts(serve)["ignored"] == before["ignored"] + 1


def counts(serve: ServeProcess) -> dict[str, int]:
    found: dict[str, int] = json.loads(send(serve.otlp_url, "/healthz", method="GET").body)["spans"]
    return found


def test_spans_that_cannot_be_stored_are_reported_and_the_others_stored(
    serve: ServeProcess, service: str
) -> None:
    request = build_request()
    request.resource_spans[0].resource.attributes[0].value.string_value = service
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.append(spans[0])
    spans[1].trace_id = b"odd"

    answer = post(serve, request.SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert partial.error_message == "1 usage spans have ids or times that cannot be stored"
    assert stored(serve, service) == 1


def test_a_request_of_more_months_than_an_insert_may_have_is_set_aside_and_not_asked_for_again(
    serve: ServeProcess, service: str
) -> None:
    request = ExportTraceServiceRequest.FromString(build_body(service, 101))
    spans = request.resource_spans[0].scope_spans[0].spans
    for month, span in enumerate(spans):
        span.start_time_unix_nano = 1 + month * 31 * 86_400_000_000_000

    answer = post(serve, request.SerializeToString())

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 101)
    assert partial.error_message == "The batch was set aside in rejected_events: ClickHouse error 252"
    sql = "SELECT count() FROM rejected_events WHERE startsWith(event_id, {id:String})"
    assert ask(serve, sql, {"param_id": spans[0].trace_id.hex()}).text == "1\n"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"\xff\xff", PROTOBUF, 400, id="no protobuf"),
        pytest.param(b"nonsense", JSON, 400, id="no json"),
        pytest.param(b"not gzip", {**PROTOBUF, "Content-Encoding": "gzip"}, 400, id="no gzip"),
        pytest.param(b"", {**PROTOBUF, "Content-Encoding": "br"}, 415, id="unknown encoding"),
        pytest.param(b"", {"Content-Type": "text/plain"}, 415, id="unknown type"),
        pytest.param(b"", {}, 415, id="no type"),
        pytest.param(
            gzip.compress(bytes(200_000_000)), {**PROTOBUF, "Content-Encoding": "gzip"}, 413, id="gzip bomb"
        ),
    ],
)
def test_a_request_that_cannot_be_taken_is_answered_with_a_status(
    serve: ServeProcess, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(serve, body, headers)

    assert answer.status == status
    if headers.get("Content-Type") == JSON["Content-Type"]:
        assert set(json.loads(answer.body)) == {"code", "message"}
    else:
        assert (answer.body[0], answer.body[2]) == (0x08, 0x12)
        assert len(answer.body) == 4 + answer.body[3]


def test_only_traces_are_taken(serve: ServeProcess) -> None:
    assert send(serve.otlp_url, "/v1/metrics", body=b"", headers=PROTOBUF).status == 404
    assert send(serve.otlp_url, "/v1/traces", method="GET").status == 405


def test_values_of_any_type_do_not_cost_the_batch(serve: ServeProcess, service: str) -> None:
    request = build_json(
        **{
            "http.response.status_code": {"stringValue": "teapot"},
            "client.address": {"intValue": 5},
            "user_agent.original": {"stringValue": "\ud800\x00 odd"},
            "session.id": {"arrayValue": {"values": [{"boolValue": True}]}},
            "usage.visit.is_new": {"doubleValue": 1e300},
            "usage.property.x": {"kvlistValue": {"values": []}},
        }
    )
    request["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"] = service

    answer = post(serve, json.dumps(request).encode(), JSON)

    assert (answer.status, json.loads(answer.body)) == (200, {})
    assert stored(serve, service) == 1


def test_our_own_exporter_delivers(serve: ServeProcess, service: str) -> None:
    exporter = OtlpExporter(serve.otlp_url)
    event = Event(
        "signed_up",
        time.time_ns(),
        5,
        os.urandom(16),
        os.urandom(8),
        NO_SPAN,
        service,
        {"usage.event.name": "signed_up"},
    )

    batch = exporter.freeze([event], f"own-{service}")
    exporter.send(batch)
    exporter.send(batch)
    exporter.close()

    sql = "SELECT event_name, event_id, duration_ns FROM events WHERE service_name = {s:String}"
    assert ask(serve, sql, {"param_s": service}).text == f"signed_up\t{event.id}\t5\n"


def test_a_table_that_is_gone_is_asked_for_again_later(
    tmp_path_factory: pytest.TempPathFactory, service: str
) -> None:
    server = start_serve(tmp_path_factory.mktemp("gone"))
    ask(server, "RENAME TABLE events TO elsewhere")

    refused = post(server, build_body(service))
    ask(server, "RENAME TABLE elsewhere TO events")
    accepted = post(server, build_body(service))

    assert stored(server, service) == 1
    server.stop()
    assert (refused.status, refused.headers["retry-after"], accepted.status) == (503, "1", 200)
