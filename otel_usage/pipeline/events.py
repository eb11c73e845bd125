"""Finished spans as events, and events as spans again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.enrich.geo import GeoReader
from otel_usage.enrich.stages import StageMatcher
from otel_usage.enrich.user_agent import describe_user_agent
from otel_usage.model import NO_SPAN, Attributes, AttributeValue, Event
from otel_usage.pipeline.companion import NO_COMPANION, Companion
from otel_usage.pipeline.rejection import reason_to_reject
from otel_usage.pipeline.rows import to_integer, to_text
from otel_usage.reports.funnels import Funnel

SCOPE_NAME = "otel_usage"
"""Instrumentation scope of the spans that we make."""

_MAX_ADDRESS = 64
"""Characters. Caches keep what they are asked for, and a span of another tracer may say anything."""
_FLAGS = frozenset({names.VISIT_IS_NEW, names.HAS_AUTHORIZATION})
_SERVER_ERROR = 500
_NUMBERS = frozenset({names.STATUS_CODE, names.RESPONSE_SIZE, names.STAGE_INDEX, names.COUNTER_VALUE})


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
        self, funnels: Sequence[Funnel] = (), *, ignores_users: bool = False, geo: GeoReader | None = None
    ) -> None:
        self._geo = geo or GeoReader()
        self._matcher = StageMatcher(funnels, ignores_users=ignores_users)

    def prepare(self) -> None:
        """Load the tables that the steps of enrichment look into."""
        describe_user_agent("")
        self._geo.prepare()

    def look_ahead(self, spans: Iterable[tuple[ReadableSpan, Companion]]) -> None:
        """Get what takes time to find out for the spans of a batch, all together; takes a second at most."""
        if not self._geo.looks_ahead:
            return
        may_be_told: dict[str, bool] = {}
        for span, companion in spans:
            address = _address_to_find(companion, span.attributes or {})
            if address:
                may_be_told[address] = may_be_told.get(address, False) or not companion.opted_out
        self._geo.look_ahead(may_be_told)

    def __call__(self, span: ReadableSpan, companion: Companion = NO_COMPANION) -> list[Event]:
        """Return the event first, then one event per stage reached."""
        event = enrich(to_event(span))
        # A country that is there already was set by the app or by what stands in front of it.
        if self._geo.has_sources and names.COUNTRY not in event.attributes:
            address = _address_to_find(companion, event.attributes)
            if address:
                event.attributes.update(self._geo.find(address))
        return [event, *self._matcher.stages_reached(event)]


def _address_to_find(companion: Companion, attributes: Mapping[str, object]) -> str:
    return companion.client_address or str(attributes.get(names.CLIENT_ADDRESS, ""))[:_MAX_ADDRESS]


def to_span(event: Event) -> ReadableSpan:
    """Return an event as a finished span that carries `usage.event.id`, for exporters that send spans.

    Attributes are written so that whoever keeps nothing but their texts, as the Collector's ClickHouse exporter does,
    stores the same row as the exporter to ClickHouse: lists and fractions are the texts of their columns, and a
    malformed event carries its reason. Texts are cut to `MAX_TEXT`; of properties and of view arguments, the first
    `MAX_PROPERTIES` are kept. A request that the app failed to answer has the status Error.
    """
    trace_id = int.from_bytes(event.trace_id, "big")

    def context(span_id: bytes) -> SpanContext:
        return SpanContext(trace_id, int.from_bytes(span_id, "big"), False, TraceFlags(TraceFlags.SAMPLED))

    attributes = {key: _plain(key, value) for key, value in _without_surplus(event.attributes).items()}
    if reason := reason_to_reject(event):
        attributes[names.REJECTED_REASON] = reason
    attributes[names.EVENT_ID] = event.id
    return ReadableSpan(
        name=event.name,
        context=context(event.span_id),
        parent=context(event.parent_span_id) if event.parent_span_id != NO_SPAN else None,
        resource=Resource({"service.name": event.service_name}),
        attributes=attributes,
        kind=SpanKind.SERVER if event.name == names.REQUEST else SpanKind.INTERNAL,
        status=_status(event),
        start_time=event.timestamp_ns,
        end_time=event.timestamp_ns + event.duration_ns,
        instrumentation_scope=InstrumentationScope(SCOPE_NAME),
    )


def _status(event: Event) -> Status:
    """Return the status of a server's span, which leaves it to clients whether 4xx are errors.

    Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
    """
    failed = (
        event.name == names.REQUEST and to_integer(event.attributes.get(names.STATUS_CODE)) >= _SERVER_ERROR
    )
    return Status(StatusCode.ERROR if failed else StatusCode.UNSET)


def _without_surplus(attributes: Attributes) -> Attributes:
    """Return the attributes without those that the columns do not keep, which go by the order they were set in.

    The Collector's ClickHouse exporter sorts them, and others would be the first ones then.
    """
    if len(attributes) <= names.MAX_PROPERTIES:  # nearly always
        return attributes
    surplus = {
        key
        for prefix in (names.PROPERTY_PREFIX, names.VIEW_ARGUMENT_PREFIX)
        for key in [key for key in attributes if key.startswith(prefix)][names.MAX_PROPERTIES :]
    }
    return {key: value for key, value in attributes.items() if key not in surplus}


def _plain(key: str, value: AttributeValue) -> str | bool | int:
    """Return a value whose text says all that its column reads; other instrumentations write whole headers on a span."""
    if key in _FLAGS:
        return value is True
    if key in _NUMBERS:
        return to_integer(value)
    if isinstance(value, bool) or (isinstance(value, int) and to_integer(value) == value):
        return value
    return to_text(value, names.MAX_TEXT)
