"""Which spans of `otel_traces` are a person's, whatever wrote them there.

A span that became an event is found by that event, so that whatever the view read in it counts, in all the ways in
which exporters write. Spans are found by their own attributes as well: events may be gone by age, and the request
spans that an app sends to a tracing backend name the same people. Other spans of those traces, such as those of
database queries, name nobody and go with them.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_usage import attributes as names
from otel_usage.privacy.selector import ADDRESS_HASH, USER, VISIT, VISITOR

SPANS = "otel_traces"
SPAN_ID = "lower(concat(TraceId, SpanId))"
"""A span as `event_id` of `events` names it."""

_USER_NAMES = (names.USER_ID, "enduser.id")
_ADDRESS_NAMES = (names.CLIENT_ADDRESS, "http.client_ip")
"""The present name and the older one; the peer's address is the proxy's, and names nobody."""
_NAMING = (*_USER_NAMES, *_ADDRESS_NAMES, names.CLIENT_ADDRESS_HASH, names.VISITOR_ID, names.VISIT_KEY)


def direct_condition(kind: str, values_of: Callable[[str], str]) -> str:
    """Return the condition for spans in which stands what was named.

    Args:
        kind: see `Selector`.
        values_of: gives the query in parentheses for the values of a kind.
    """
    values = values_of(kind)
    if kind == VISIT:
        return f"({_has(names.VISIT_KEY)} AND {VISIT_OF_SPAN} IN {values})"
    if kind == VISITOR:
        return f"({_has(names.VISITOR_ID)} AND {_own_key(names.VISITOR_ID)} IN {values})"
    if kind == USER:
        return "(" + " OR ".join(f"{_text(name)} IN {values}" for name in _USER_NAMES) + ")"
    addresses = f"(SELECT toIPv6(value) FROM {values})"
    found = [f"toIPv6OrDefault({_text(name)}) IN {addresses}" for name in _ADDRESS_NAMES]
    return f"({' OR '.join(found)} OR {_text(names.CLIENT_ADDRESS_HASH)} IN {values_of(ADDRESS_HASH)})"


def identified_condition(direct: str, visits: str) -> str:
    """Return the condition for spans that name the person or one of their visits."""
    return f"({direct} OR ({_has(names.VISIT_KEY)} AND {VISIT_OF_SPAN} IN {visits}))"


def condition(direct: str, visits: str, spans: str) -> str:
    """Return the condition for all spans of the person.

    Args:
        direct: see `direct_condition`.
        visits: query in parentheses for the hex keys of the person's visits.
        spans: query in parentheses for the ids, as `SPAN_ID`, of the person's events and of spans that name them.
    """
    nobody = " AND ".join(f"NOT {_has(name)}" for name in (names.EVENT_ID, *_NAMING))
    traces = f"(SELECT substring(value, 1, 32) FROM {spans})"
    return (
        f"({identified_condition(direct, visits)} OR {SPAN_ID} IN {spans} "
        f"OR ({nobody} AND lower(TraceId) IN {traces}))"
    )


def _has(name: str) -> str:
    return f"SpanAttributes['{name}'] != ''"


def _text(name: str) -> str:
    return f"substringUTF8(toValidUTF8(SpanAttributes['{name}']), 1, {names.MAX_NAME})"


def _own_key(name: str) -> str:
    """Return the expression for a key as hex; one that is not ours is hashed, as it is for `events`."""
    text = _text(name)
    return f"if(match({text}, '^[0-9a-fA-F]{{32}}$'), lower({text}), lower(hex(substring(SHA256({text}), 1, 16))))"


VISIT_OF_SPAN = _own_key(names.VISIT_KEY)
"""The visit of a span in hex."""
