"""Finds the span of the request that is being served."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind


def find_request_span(of_framework: Span | None) -> Span | None:
    """Return the recording span of this request, None if it has none.

    Args:
        of_framework: the one that the framework's instrumentation made. Where that is INTERNAL, the server's own
            middleware around the app made the span of the request.
    """
    if not _is_request_span(of_framework):
        current = trace.get_current_span()
        if _is_request_span(current):
            return current
    return of_framework if of_framework is not None and of_framework.is_recording() else None


def _is_request_span(span: Span | None) -> bool:
    return getattr(span, "kind", None) is SpanKind.SERVER and span is not None and span.is_recording()
