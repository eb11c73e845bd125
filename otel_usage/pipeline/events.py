"""Finished spans as events, and events as spans again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import TypeAlias, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.enrich.stages import StageMatcher
from otel_usage.enrich.user_agent import describe_user_agent
from otel_usage.model import NO_SPAN, Attributes, AttributeValue, Event
from otel_usage.pipeline.companion import NO_COMPANION, Companion
from otel_usage.pipeline.rows import to_text
from otel_usage.reports.funnels import Funnel

Locate: TypeAlias = Callable[[str], Attributes]
"""Returns the attributes that say where an address is, none when that is not known."""

SCOPE_NAME = "otel_usage"
"""Instrumentation scope of the spans that we make."""


def is_usage_span(span: ReadableSpan) -> bool:
    """Return whether a span is a usage event."""
    attributes = span.attributes  # built anew at each access
    return attributes is not None and names.EVENT_NAME in attributes


def to_event(span: ReadableSpan) -> Event:
    """Return a finished usage span as an event with attributes of its own."""
    context = span.get_span_context()
    start, end = span.start_time or 0, span.end_time or 0
    given = span.attributes or {}
    # `copy` takes the SDK's inner dictionary at once; item by item it is five times slower.
    copied = given.copy() if isinstance(given, MappingProxyType) else dict(given)
    # The SDK types values wider than it takes them: everything on a span of ours was set by us.
    attributes = cast(dict[str, AttributeValue], copied)
    return Event(
        str(attributes.get(names.EVENT_NAME, "")),
        start,
        max(end - start, 0),
        context.trace_id.to_bytes(16, "big") if context else bytes(16),
        context.span_id.to_bytes(8, "big") if context else NO_SPAN,
        span.parent.span_id.to_bytes(8, "big") if span.parent else NO_SPAN,
        to_text(span.resource.attributes.get("service.name"), names.MAX_NAME),
        attributes,
    )


class EventMaker:
    """Turns a finished usage span into its enriched event and the stage events that follow from it."""

    def __init__(
        self, funnels: Sequence[Funnel] = (), *, ignores_users: bool = False, locate: Locate | None = None
    ) -> None:
        self._locate = locate
        self._matcher = StageMatcher(funnels, ignores_users=ignores_users)

    def prepare(self) -> None:
        """Load the tables that the steps of enrichment look into."""
        describe_user_agent("")

    def __call__(self, span: ReadableSpan, companion: Companion = NO_COMPANION) -> list[Event]:
        """Return the event first, then one event per stage reached."""
        event = enrich(to_event(span))
        if self._locate is not None:
            address = companion.client_address or str(event.attributes.get(names.CLIENT_ADDRESS, ""))
            if address:
                event.attributes.update(self._locate(address))
        return [event, *self._matcher.stages_reached(event)]


def to_span(event: Event) -> ReadableSpan:
    """Return an event as a finished span that carries `usage.event.id`, for exporters that send spans.

    Texts are cut to `MAX_TEXT`, lists to `MAX_PROPERTIES`.
    """
    trace_id = int.from_bytes(event.trace_id, "big")

    def context(span_id: bytes) -> SpanContext:
        return SpanContext(trace_id, int.from_bytes(span_id, "big"), False, TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        name=event.name,
        context=context(event.span_id),
        parent=context(event.parent_span_id) if event.parent_span_id != NO_SPAN else None,
        resource=Resource({"service.name": event.service_name}),
        attributes={key: _cut(value) for key, value in event.attributes.items()} | {names.EVENT_ID: event.id},
        kind=SpanKind.SERVER if event.name == names.REQUEST else SpanKind.INTERNAL,
        start_time=event.timestamp_ns,
        end_time=event.timestamp_ns + event.duration_ns,
        instrumentation_scope=InstrumentationScope(SCOPE_NAME),
    )


def _cut(value: AttributeValue) -> AttributeValue:
    """Return a value without what is too long to keep: other instrumentations write whole headers on a span."""
    if isinstance(value, str):
        return value[: names.MAX_TEXT]
    if isinstance(value, Sequence):
        # The SDK takes no lists of mixed types, so the parts are all texts or all numbers.
        return cast(AttributeValue, [_cut(part) for part in value[: names.MAX_PROPERTIES]])
    return value
