"""The exporter that sends events as spans over OTLP/HTTP, to a Collector or to `otel-usage serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import urllib3
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util.re import parse_env_headers

from otel_usage.errors import DeliveryError, PartlyRejected, RejectedBatch
from otel_usage.model import Event
from otel_usage.pipeline.events import to_span
from otel_usage.pipeline.exporters import Batch

BATCH_ID_HEADER = "x-otel-usage-batch-id"
"""Carries the batch's token; `otel-usage serve` uses it for the insert, so that a resend counts once."""

_REFUSED = frozenset({400, 413, 415, 422})
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class OtlpExporter:
    """Sends each batch as one request with enriched spans.

    Args:
        endpoint: base address such as `http://localhost:4318`, without `/v1/traces`.
        headers: more headers; those of `OTEL_EXPORTER_OTLP_HEADERS` by default.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = f"{endpoint}/v1/traces"
        if headers is None:
            headers = parse_env_headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True)
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        self._pool: urllib3.PoolManager | None = None
        self._pool_pid = 0

    def prepare(self) -> None:
        """Do nothing: all is here."""

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        """Return the batch with the encoded request body."""
        return Batch(token, events, encode_spans([to_span(event) for event in events]).SerializeToString())

    def send(self, batch: Batch) -> None:
        """Post the batch."""
        headers = {**self._headers, BATCH_ID_HEADER: batch.token}
        try:
            response = self._connections().request(
                "POST", self._url, body=batch.payload, headers=headers, timeout=_TIMEOUT, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryError(f"no answer from the OTLP endpoint ({type(error).__name__})") from error
        if response.status in _REFUSED:
            raise RejectedBatch(f"the OTLP endpoint answered {response.status}")
        if not 200 <= response.status < 300:
            raise DeliveryError(f"the OTLP endpoint answered {response.status}")
        refused = _refused_spans(response.data)
        if refused:
            raise PartlyRejected("the OTLP endpoint stored only the others", refused)

    def set_aside(self, batch: Batch, reason: str) -> None:
        """Raise: OTLP has no place for rejected events."""
        raise DeliveryError("OTLP has no place for refused events")

    def close(self) -> None:
        """Give back the connections; the next batch opens new ones."""
        pool, self._pool = self._pool, None
        # A forked child leaves its parent's sockets alone.
        if pool is not None and self._pool_pid == os.getpid():
            pool.clear()

    def _connections(self) -> urllib3.PoolManager:
        if self._pool is None or self._pool_pid != os.getpid():
            self._pool, self._pool_pid = urllib3.PoolManager(num_pools=1, maxsize=1), os.getpid()
        return self._pool


def _refused_spans(body: bytes) -> int:
    """Return how many spans a receiver refused in an answer that is a success otherwise.

    Source: https://opentelemetry.io/docs/specs/otlp/#partial-success-1
    """
    try:
        return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    except DecodeError:  # of a receiver that answers in its own way
        return 0
