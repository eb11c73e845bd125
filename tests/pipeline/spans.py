"""Finished usage spans with good defaults, as the SDK hands them to a processor."""

from __future__ import annotations

import itertools

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_usage import attributes as names
from otel_usage.model import AttributeValue

_numbers = itertools.count(1)
_REQUEST: dict[str, AttributeValue] = {
    names.METHOD: "GET",
    names.PATH: "/",
    names.ROUTE: "/",
    names.STATUS_CODE: 200,
    names.VISIT_KEY: "0" * 31 + "1",
}


def build_span(
    name: str = names.REQUEST,
    attributes: dict[str, AttributeValue] | None = None,
    *,
    service: str = "shop",
    start_ns: int = 1_800_000_000_000_000_000,
    duration_ns: int = 1_000_000,
) -> ReadableSpan:
    """Return a usage span of its own trace, by default a request for `/`.

    Args:
        name: the event's name; '' for a span that is no usage event.
        attributes: further attributes, or others in the place of the default ones.
        service: service name of the resource.
        start_ns: nanoseconds since the epoch.
        duration_ns: from start to end.
    """
    number = next(_numbers)
    given = {**_REQUEST, names.EVENT_NAME: name} if name else {}
    return ReadableSpan(
        name=name or "work",
        context=SpanContext(number, number, False, TraceFlags(TraceFlags.SAMPLED)),
        resource=Resource({"service.name": service}),
        attributes={**given, **(attributes or {})},
        kind=SpanKind.SERVER,
        start_time=start_ns,
        end_time=start_ns + duration_ns,
    )
