"""What `opentelemetry-instrument` calls in a process before the app is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_usage.wiring import configure, select_exporter


def pre_instrument() -> None:
    """Attach to the provider that the launcher has just made, ahead of all instrumentors.

    They keep the sampler that the provider has when they ask for their tracer.
    """
    configure()


class ClickHouseTracesExporter(SpanExporter):
    """`OTEL_TRACES_EXPORTER=otel_usage_clickhouse`: selects the exporter of our own processor.

    The SDK's batch processor gets this exporter, which does nothing, so that no event is stored twice.
    """

    def __init__(self) -> None:
        select_exporter("clickhouse")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Return success: our own processor has these spans already."""
        return SpanExportResult.SUCCESS
