from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_usage import UsageSpanProcessor
from otel_usage import attributes as names
from otel_usage.errors import DeliveryError, RejectedBatch
from otel_usage.pipeline import sender as sender_module
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters.otlp import BATCH_ID_HEADER, OtlpExporter
from tests.pipeline.spans import build_span


@dataclass
class Receiver:
    """A real HTTP server on loopback that keeps the requests it gets."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Answers to give, first to last; 200 when there are no more."""
    body: bytes = b""
    """Of each answer."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.requests.append((self.path, headers, body))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.send_header("content-length", str(len(kept.body)))
            self.end_headers()
            self.wfile.write(kept.body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


@pytest.fixture
def exporter(receiver: Receiver) -> Iterator[OtlpExporter]:
    exporter = OtlpExporter(receiver.url)
    yield exporter
    exporter.close()


def test_a_batch_is_one_request_with_its_token(receiver: Receiver, exporter: OtlpExporter) -> None:
    events = [event for _ in range(3) for event in EventMaker()(build_span())]

    exporter.send(exporter.freeze(events, "the-token"))

    ((path, headers, body),) = receiver.requests
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers[BATCH_ID_HEADER] == "the-token"
    request = ExportTraceServiceRequest.FromString(body)
    spans = [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]
    assert [span.trace_id + span.span_id for span in spans] == [bytes.fromhex(event.id) for event in events]
    assert all(any(attribute.key == names.EVENT_ID for attribute in span.attributes) for span in spans)


def test_sending_again_sends_the_very_same_bytes(receiver: Receiver, exporter: OtlpExporter) -> None:
    batch = exporter.freeze(EventMaker()(build_span()), "t")

    exporter.send(batch)
    exporter.send(batch)

    assert receiver.requests[0][2] == receiver.requests[1][2]
    assert receiver.requests[0][1][BATCH_ID_HEADER] == receiver.requests[1][1][BATCH_ID_HEADER]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_the_receiver_will_never_take_is_refused(
    receiver: Receiver, exporter: OtlpExporter, status: int
) -> None:
    receiver.statuses = [status]

    with pytest.raises(RejectedBatch, match=f"^the OTLP endpoint answered {status}$"):
        exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 502, 503, 504])
def test_any_other_answer_may_be_tried_again(receiver: Receiver, exporter: OtlpExporter, status: int) -> None:
    receiver.statuses = [status]

    with pytest.raises(DeliveryError, match=f"^the OTLP endpoint answered {status}$"):
        exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))


@pytest.mark.parametrize(("refused", "stored"), [(3, 7), (10, 0), (99, 0), (0, 10), (-1, 10)])
def test_what_a_receiver_refused_of_a_batch_is_not_counted_as_stored(
    receiver: Receiver, exporter: OtlpExporter, refused: int, stored: int
) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=refused, error_message="too old")
    receiver.body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    processor = UsageSpanProcessor(exporter)
    for _ in range(10):
        processor.on_end(build_span())

    assert processor.force_flush(30_000)
    processor.shutdown()

    counted = processor.accounting()
    assert (counted.stored, counted.dropped.get("rejected_and_lost", 0)) == (stored, 10 - stored)
    assert (counted.seen, counted.waiting, len(receiver.requests)) == (10, 0, 1)


@pytest.mark.parametrize("body", [b"ok", b"\xff" * 100, b"<html>", b'{"partialSuccess": {}}'])
def test_a_success_in_words_of_the_receivers_own_is_a_success(
    receiver: Receiver, exporter: OtlpExporter, body: bytes
) -> None:
    receiver.body = body

    exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))


def test_what_others_wrote_on_a_span_is_sent_cut(exporter: OtlpExporter) -> None:
    span = build_span("request", {"http.user_agent": "x" * 10_000_000, "captured": ["y" * 10_000] * 1000})

    batch = exporter.freeze(EventMaker()(span), "t")

    assert len(batch.payload) < 100_000


def test_nobody_there_may_be_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        exporter = OtlpExporter(f"http://127.0.0.1:{taken.getsockname()[1]}")

        with pytest.raises(DeliveryError, match="^no answer from the OTLP endpoint "):
            exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))
        exporter.close()


def test_the_headers_of_the_environment_are_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc,x-tenant=shop")
    exporter = OtlpExporter(receiver.url)

    exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))
    exporter.close()

    headers = receiver.requests[0][1]
    assert (headers["authorization"], headers["x-tenant"]) == ("Bearer abc", "shop")


def test_it_may_be_used_again_after_it_was_closed(receiver: Receiver, exporter: OtlpExporter) -> None:
    batch = exporter.freeze(EventMaker()(build_span()), "t")
    exporter.send(batch)

    exporter.close()
    exporter.close()
    exporter.send(batch)

    assert len(receiver.requests) == 2


def test_it_has_no_place_for_refused_events(exporter: OtlpExporter) -> None:
    with pytest.raises(DeliveryError):
        exporter.set_aside(exporter.freeze(EventMaker()(build_span()), "t"), "never")


def test_a_receiver_that_comes_back_gets_every_event_once(
    receiver: Receiver, exporter: OtlpExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "_FIRST_RETRY_SECONDS", 0.001)
    receiver.statuses = [503, 500, 503]
    processor = UsageSpanProcessor(exporter)
    for _ in range(10):
        processor.on_end(build_span())

    assert processor.force_flush(30_000)
    processor.shutdown()

    assert len({body for _, _, body in receiver.requests}) == 1
    assert len({headers[BATCH_ID_HEADER] for _, headers, _ in receiver.requests}) == 1
    assert processor.accounting().stored == 10


def test_one_event_that_cannot_be_encoded_does_not_take_its_batch_with_it(
    receiver: Receiver, exporter: OtlpExporter
) -> None:
    processor = UsageSpanProcessor(exporter)
    processor.on_end(build_span())
    processor.on_end(build_span("odd\udcff"))
    processor.on_end(build_span())

    assert processor.force_flush(30_000)
    processor.shutdown()

    assert processor.accounting().stored == 2
    assert dict(processor.accounting().rejected) == {"malformed": 1}
