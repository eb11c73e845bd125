"""The span processor: takes the spans that are usage events, and hands them to the worker."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_usage.enrich.geo import GeoReader
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.pipeline.accounting import Accounting, AccountingSnapshot
from otel_usage.pipeline.companion import Companion, Companions
from otel_usage.pipeline.events import EventMaker, is_usage_span
from otel_usage.pipeline.exporters import EventExporter
from otel_usage.pipeline.worker import BatchWorker
from otel_usage.reports.funnels import Funnel

logger = logging.getLogger(__name__)

SHUT_DOWN_SECONDS = 5.0
"""How long a process that ends waits for the last batches."""


class UsageSpanProcessor(SpanProcessor):
    """Delivers usage events through an exporter, in batches, from a thread of its own.

    Sees spans whether they are sampled or not. Nothing that it does on the thread that ends a span can raise
    or block.

    Args:
        exporter: where the events go.
        funnels: funnels whose stages are matched by path, route or event name.
        ignores_users: events of signed-in users match no stage.
        accounting: counts to add to; new ones by default.
        queue_size: events that may wait; further ones are dropped and counted.
        batch_size: events of one batch.
        flush_interval_seconds: longest time that an event waits for its batch to fill.
        geo: finds where addresses are; used by the worker.
    """

    def __init__(
        self,
        exporter: EventExporter,
        *,
        funnels: Sequence[Funnel] = (),
        ignores_users: bool = False,
        accounting: Accounting | None = None,
        queue_size: int = 32768,
        batch_size: int = 5000,
        flush_interval_seconds: float = 1.0,
        geo: GeoReader | None = None,
    ) -> None:
        self.geo = geo or GeoReader()
        """Finds where addresses are; when it has sources, it has a use for addresses as they were before being masked."""
        self._companions = Companions()
        self._accounting = accounting or Accounting()
        self._error_log = LogThrottle()
        self._worker = BatchWorker(
            exporter,
            EventMaker(funnels, ignores_users=ignores_users, geo=self.geo),
            self._accounting,
            queue_size=queue_size,
            batch_size=batch_size,
            flush_interval_seconds=flush_interval_seconds,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: the request is annotated when its answer is known."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is a usage event."""
        try:
            if is_usage_span(span):
                self._worker.offer(span, self._companions.take(span))
        except Exception as error:
            self._error_log.log(logger, logging.ERROR, "Lost a usage event: %s", describe_error(error))

    def attach(self, span: trace.Span, companion: Companion) -> None:
        """Let a companion travel with a usage span of this process that has not ended yet."""
        self._companions.attach(span, companion)

    def accounting(self) -> AccountingSnapshot:
        """Return where the events of this process went."""
        return self._accounting.snapshot()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what waits, and return whether all of it was settled in time."""
        return self._worker.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what waits within `SHUT_DOWN_SECONDS`; later spans are refused and counted."""
        self._worker.shut_down(SHUT_DOWN_SECONDS)
