"""The exporter that inserts events into ClickHouse."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_usage.clickhouse import MISSING_SCHEMA_CODES, ClickHouse, connect, encode_native, load_driver
from otel_usage.dsn import parse_dsn
from otel_usage.errors import (
    ClickHouseError,
    ClickHouseUnavailable,
    DeliveryError,
    NotSetAside,
    RejectedBatch,
    SettingError,
)
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import Event
from otel_usage.pipeline.events import EventMaker, is_usage_span
from otel_usage.pipeline.exporters import Batch
from otel_usage.pipeline.rejection import reason_to_reject, rejected_events
from otel_usage.pipeline.rows import COLUMNS, to_columns
from otel_usage.reports.funnels import Funnel
from otel_usage.settings import Settings

logger = logging.getLogger(__name__)

_NAMES = [column.name for column in COLUMNS]
_TYPES = [column.type for column in COLUMNS]
_REJECTED_NAMES = ["timestamp", "reason", "event_id", "body"]
_REJECTED_TYPES = ["DateTime64(9, 'UTC')", "String", "String", "String"]

_FIRST_RETRY_SECONDS = 0.25


class Blocks(NamedTuple):
    """What a batch inserts: encoded rows of each table, None where it has none."""

    events: bytes | None
    rejected: bytes | None


class ClickHouseSpanExporter(SpanExporter):
    """Inserts usage events into `events`, each exactly once as long as its batch is retried.

    Used by `UsageSpanProcessor`, which retries; or by hand in any OpenTelemetry span processor, where `export`
    enriches the usage spans among those it gets, passes over all others, and retries by itself.

    Args:
        dsn: `http(s)://user:password@host:port/database`; the setting `OTEL_USAGE_DSN` by default.
        funnels: funnels whose stages `export` matches by path, route or event name.
        export_timeout_seconds: how long `export` tries before it gives a batch up.

    Raises:
        SettingError: there is no DSN, or it cannot be used.
    """

    def __init__(
        self, dsn: str | None = None, *, funnels: Sequence[Funnel] = (), export_timeout_seconds: float = 30.0
    ) -> None:
        dsn = dsn or Settings.load().dsn
        if not dsn:
            raise SettingError(
                "ClickHouseSpanExporter has no DSN. Pass dsn= or set OTEL_USAGE_DSN, "
                "for example to http://localhost:8123/otel_usage"
            )
        self._place = repr(parse_dsn(dsn))  # raises here, where somebody reads it, rather than at each batch
        self._dsn = dsn
        self._make_events = EventMaker(funnels)
        self._export_timeout_seconds = export_timeout_seconds
        self._client: ClickHouse | None = None
        self._client_pid = 0
        self._failure_log = LogThrottle()
        self._is_shut_down = False

    # As an exporter of events, under the worker.

    def prepare(self) -> None:
        """Load the driver."""
        load_driver()

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        """Return the batch with its encoded blocks."""
        rejected = rejected_events(events)
        if not rejected:
            return Batch(token, events, Blocks(_encode(events), None))
        malformed = {id(event) for event, _ in rejected}
        stored = [event for event in events if id(event) not in malformed]
        return Batch(token, events, Blocks(_encode(stored) if stored else None, _encode_rejected(rejected)))

    def send(self, batch: Batch) -> None:
        """Insert the batch with its token, so that a second time changes neither the table nor a view."""
        blocks: Blocks = batch.payload
        try:
            if blocks.events is not None:
                self._connection().insert_native("events", _NAMES, blocks.events, token=batch.token)
        except ClickHouseUnavailable as error:
            raise self._not_delivered(error) from error
        except ClickHouseError as error:
            raise RejectedBatch(self._without_data(error)) from error
        try:
            if blocks.rejected is not None:
                self._insert_rejected(blocks.rejected, batch.token)
        except ClickHouseUnavailable as error:
            raise self._not_delivered(error) from error
        except ClickHouseError as error:
            raise NotSetAside(self._without_data(error)) from error

    def set_aside(self, batch: Batch, reason: str) -> None:
        """Insert the batch's events into `rejected_events`, each with its own reason if it has one."""
        block = _encode_rejected([(event, reason_to_reject(event) or reason) for event in batch.events])
        try:
            self._insert_rejected(block, batch.token)
        except ClickHouseError as error:
            raise DeliveryError(self._without_data(error)) from error

    def _insert_rejected(self, block: bytes, token: str) -> None:
        self._connection().insert_native("rejected_events", _REJECTED_NAMES, block, token=f"{token}-rejected")

    def _not_delivered(self, error: ClickHouseUnavailable) -> DeliveryError:
        self.close()
        if error.code in MISSING_SCHEMA_CODES:
            return DeliveryError(f"the schema is missing or old in {self._place}. Run: otel-usage migrate")
        return DeliveryError(self._without_data(error))

    def close(self) -> None:
        """Give back the connections; the next batch opens new ones."""
        client, self._client = self._client, None
        # A forked child leaves its parent's sockets alone.
        if client is not None and self._client_pid == os.getpid():
            client.close()

    def _without_data(self, error: ClickHouseError) -> str:
        """Return what may be logged of an error: ClickHouse quotes values in its texts."""
        return f"ClickHouse error {error.code}" if error.code is not None else f"no answer from {self._place}"

    def _connection(self) -> ClickHouse:
        if self._client is None or self._client_pid != os.getpid():
            self._client, self._client_pid = connect(self._dsn), os.getpid()
        return self._client

    # As an OpenTelemetry span exporter.

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Enrich and insert the usage events among the spans."""
        if self._is_shut_down:
            logger.warning("Exporter already shut down, dropping %d spans", len(spans))
            return SpanExportResult.FAILURE
        events = self._events_of(spans)
        if not events:
            return SpanExportResult.SUCCESS
        token = hashlib.sha256(b"".join(event.trace_id + event.span_id for event in events)).hexdigest()
        try:
            self._send_within(self.freeze(events, token), self._export_timeout_seconds)
        except (DeliveryError, RejectedBatch) as error:
            self._failure_log.log(logger, logging.ERROR, "Lost %d usage events: %s", len(events), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _events_of(self, spans: Sequence[ReadableSpan]) -> list[Event]:
        events: list[Event] = []
        for span in spans:
            if is_usage_span(span):
                try:
                    events += self._make_events(span)
                except Exception as error:
                    self._failure_log.log(
                        logger, logging.ERROR, "A usage event could not be made: %s", describe_error(error)
                    )
        return events

    def shutdown(self) -> None:
        """Refuse further spans and give back the connections."""
        self._is_shut_down = True
        self.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Return True: `export` holds nothing back."""
        return True

    def _send_within(self, batch: Batch, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        delay_seconds = _FIRST_RETRY_SECONDS
        while True:
            try:
                return self.send(batch)
            except DeliveryError:
                if self._is_shut_down or time.monotonic() + delay_seconds > deadline:
                    raise
            time.sleep(delay_seconds)
            delay_seconds *= 2


def _encode(events: Sequence[Event]) -> bytes:
    return encode_native(_NAMES, _TYPES, to_columns(events))


def _encode_rejected(rejected: Sequence[tuple[Event, str]]) -> bytes:
    now_ns = time.time_ns()
    return encode_native(
        _REJECTED_NAMES,
        _REJECTED_TYPES,
        [
            [now_ns] * len(rejected),
            [reason for _, reason in rejected],
            [event.id for event, _ in rejected],
            [json.dumps(event.attributes, default=str) for event, _ in rejected],
        ],
    )
