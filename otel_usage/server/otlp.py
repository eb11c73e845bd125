"""The OTLP/HTTP receiver: usage spans of `POST /v1/traces` become rows of `events`.

One request is one insert with one token, and is answered when it is stored, so a client that repeats an unanswered
request counts once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import threading
from concurrent.futures import Executor
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_usage.errors import DeliveryError, NotSetAside, RejectedBatch
from otel_usage.log_throttle import LogThrottle
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.otlp import BATCH_ID_HEADER
from otel_usage.pipeline.rejection import rejections
from otel_usage.server.bodies import BodyError, BodyReader
from otel_usage.server.otlp_spans import MalformedRequest, SpansRead, read_json, read_protobuf

logger = logging.getLogger(__name__)

_BATCH_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_READERS = {_PROTOBUF: read_protobuf, _JSON: read_json}
_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNAVAILABLE = 3, 8, 14
_RETRY_AFTER_SECONDS = "1"


class _Refused(Exception):
    def __init__(self, message: str, status: int, rpc_code: int) -> None:
        super().__init__(message)
        self.status = status
        self.rpc_code = rpc_code


class _Partial(NamedTuple):
    rejected: int
    message: str


class OtlpReceiver:
    """Answers the requests of the OTLP port.

    Args:
        dsn: ClickHouse that takes the events.
        executor: whose threads unpack, decode and insert.
        reader: that bounds the bodies.
    """

    def __init__(self, dsn: str, executor: Executor, reader: BodyReader) -> None:
        self._dsn = dsn
        self._executor = executor
        self._reader = reader
        self._local = threading.local()
        self._exporters: list[ClickHouseSpanExporter] = []
        self._lock = threading.Lock()
        self._counts = {"stored": 0, "ignored": 0, "rejected": 0}
        self._failure_log = LogThrottle()
        self.app = Starlette(
            routes=[
                Route("/v1/traces", self._traces, methods=["POST"]),
                Route("/healthz", self._health),
            ]
        )

    def close(self) -> None:
        """Give back the connections to ClickHouse."""
        for exporter in self._exporters:
            exporter.close()

    async def _health(self, request: Request) -> Response:
        with self._lock:
            body = {"status": "ok", "spans": dict(self._counts)}
        return Response(json.dumps(body), media_type="application/json")

    async def _traces(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in _READERS:
            message = f"Content-Type is {content_type[:100]!a}, expected {_PROTOBUF} or {_JSON}"
            return _status(_Refused(message, 415, _INVALID_ARGUMENT), _PROTOBUF)
        try:
            packed = await self._reader.read(request.stream(), request.headers.get("content-length"))
            loop = asyncio.get_running_loop()
            partial = await loop.run_in_executor(
                self._executor,
                self._take,
                packed,
                request.headers.get("content-encoding", ""),
                content_type,
                request.headers.get(BATCH_ID_HEADER),
            )
        except ClientDisconnect:
            return Response(status_code=400)
        except BodyError as error:
            rpc_code = _RESOURCE_EXHAUSTED if error.status in (413, 503) else _INVALID_ARGUMENT
            return _status(_Refused(str(error), error.status, rpc_code), content_type)
        except _Refused as error:
            return _status(error, content_type)
        return _success(partial, content_type)

    def _take(self, packed: bytes, encoding: str, content_type: str, batch_id: str | None) -> _Partial:
        """Decode one request and store its events; in a thread of the executor."""
        if batch_id is not None and not _BATCH_ID.fullmatch(batch_id):
            raise _Refused(
                f"{BATCH_ID_HEADER} is {batch_id[:130]!a}, expected 1 to 128 characters of A-Z a-z 0-9 . _ : -",
                400,
                _INVALID_ARGUMENT,
            )
        body = self._reader.unpack(packed, encoding)
        try:
            read = _READERS[content_type](body)
        except MalformedRequest as error:
            raise _Refused(str(error), 400, _INVALID_ARGUMENT) from None
        message = (
            f"{read.rejected} usage spans have ids or times that cannot be stored" if read.rejected else ""
        )
        if read.events:
            token = batch_id or hashlib.sha256(body).hexdigest()
            message = self._store(read, token) or message
        # Set aside as their sender asked, so it is told of no refusal.
        set_aside = rejections(read.events).total()
        with self._lock:
            self._counts["stored"] += len(read.events) - set_aside
            self._counts["ignored"] += read.ignored
            self._counts["rejected"] += read.rejected + set_aside
        return _Partial(read.rejected, message)

    def _store(self, read: SpansRead, token: str) -> str:
        """Insert the events; return why they were set aside, empty when they were stored."""
        exporter = self._exporter()
        batch = exporter.freeze(read.events, token)
        try:
            try:
                exporter.send(batch)
            except NotSetAside as error:
                self._failure_log.log(
                    logger, logging.ERROR, "Malformed usage spans could not be set aside: %s", error
                )
            except RejectedBatch as error:
                exporter.set_aside(batch, str(error))
                read.rejected += len(read.events)
                read.events.clear()
                return f"The batch was set aside in rejected_events: {error}"
        except DeliveryError as error:
            self._failure_log.log(logger, logging.ERROR, "Could not store a batch of usage spans: %s", error)
            raise _Refused("The events cannot be stored now, send them again", 503, _UNAVAILABLE) from None
        return ""

    def _exporter(self) -> ClickHouseSpanExporter:
        """Return this thread's exporter: one serves one thread at a time."""
        exporter: ClickHouseSpanExporter | None = getattr(self._local, "exporter", None)
        if exporter is None:
            exporter = self._local.exporter = ClickHouseSpanExporter(self._dsn)
            with self._lock:
                self._exporters.append(exporter)
        return exporter


def _success(partial: _Partial, content_type: str) -> Response:
    if content_type == _JSON:
        body: dict[str, object] = {}
        if partial.rejected:
            body["partialSuccess"] = {"rejectedSpans": str(partial.rejected), "errorMessage": partial.message}
        return Response(json.dumps(body), media_type=_JSON)
    message = ExportTraceServiceResponse()
    if partial.rejected:
        message.partial_success.CopyFrom(
            ExportTracePartialSuccess(rejected_spans=partial.rejected, error_message=partial.message)
        )
    return Response(message.SerializeToString(), media_type=_PROTOBUF)


def _status(refused: _Refused, content_type: str) -> Response:
    """Return the refusal as a google.rpc.Status, in the encoding of the request."""
    message = str(refused)
    headers = {"Retry-After": _RETRY_AFTER_SECONDS} if refused.status == 503 else {}
    if content_type == _JSON:
        body = json.dumps({"code": refused.rpc_code, "message": message}).encode()
    else:
        # Two fields, written out: the message type would bring a package of its own.
        text = message.encode("utf-8", "replace")[:127]
        body = bytes([0x08, refused.rpc_code, 0x12, len(text)]) + text
    return Response(body, refused.status, headers=headers, media_type=content_type)
