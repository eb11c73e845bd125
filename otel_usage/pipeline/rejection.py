"""Which events are set aside instead of counted, and why: the one rule for the app and for `otel-usage serve`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from otel_usage import attributes as names
from otel_usage.model import AttributeValue, Event

UNKNOWN_COUNTER = "unknown_counter"
NO_COUNTER_NAME = "no_counter_name"
NO_OBJECT = "no_object"
NOT_A_WHOLE_NUMBER = "not_a_whole_number"
OUT_OF_RANGE = "out_of_range"
NO_EVENT_NAME = "no_event_name"
RESERVED_EVENT_NAME = "reserved_event_name"
OTHER = "other"

REASONS = frozenset(
    {
        UNKNOWN_COUNTER,
        NO_COUNTER_NAME,
        NO_OBJECT,
        NOT_A_WHOLE_NUMBER,
        OUT_OF_RANGE,
        NO_EVENT_NAME,
        RESERVED_EVENT_NAME,
        OTHER,
    }
)
"""Every reason there is. Few, because each becomes a count of its own."""

MIN_COUNTER_VALUE, MAX_COUNTER_VALUE = -(2**63), 2**63 - 1
_LAST_EXACT_FLOAT = 2**53


def reason_to_reject(event: Event) -> str:
    """Return why an event is set aside, empty for one that is stored.

    Whoever makes an event may reject it, by `usage.rejected.reason`. A counter is looked at once more: one that
    came by OTLP may be anybody's.
    """
    reason = event.attributes.get(names.REJECTED_REASON)
    if reason is not None:
        return reason if isinstance(reason, str) and reason in REASONS else OTHER
    return _malformed_counter(event) if event.name == names.COUNTER else ""


def rejected_events(events: Iterable[Event]) -> list[tuple[Event, str]]:
    """Return the events that are set aside, each with its reason."""
    return [
        (event, reason)
        for event in events
        # A call for each of them would be a fiftieth of what the batch costs.
        if (event.name == names.COUNTER or names.REJECTED_REASON in event.attributes)
        and (reason := reason_to_reject(event))
    ]


def rejections(events: Iterable[Event]) -> Counter[str]:
    """Return how many of the events are set aside, by reason."""
    return Counter(reason for _, reason in rejected_events(events))


def whole_number(value: object) -> int | None:
    """Return what was given for the value of a counter as a number, None when it is no whole one."""
    try:
        number = int(value)  # type: ignore[call-overload]
        is_whole = isinstance(value, str) or bool(number == value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if is_whole else None


def reason_to_reject_value(number: int | None) -> str:
    """Return why a counter cannot take the value, empty when it can."""
    if number is None:
        return NOT_A_WHOLE_NUMBER
    return "" if MIN_COUNTER_VALUE <= number <= MAX_COUNTER_VALUE else OUT_OF_RANGE


def _malformed_counter(event: Event) -> str:
    name: AttributeValue | None = event.attributes.get(names.COUNTER_NAME)
    if not isinstance(name, str) or not name:
        return NO_COUNTER_NAME
    value = event.attributes.get(names.COUNTER_VALUE)
    if isinstance(value, str):
        return NOT_A_WHOLE_NUMBER
    if isinstance(value, float) and abs(value) > _LAST_EXACT_FLOAT and value == value:
        return OUT_OF_RANGE
    return reason_to_reject_value(whole_number(value))
