"""The current span while plug-ins run: keeps attributes for the request's span, which may be made only later."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.trace import NonRecordingSpan, SpanContext

from otel_usage.attributes import MAX_NAME, MAX_PROPERTIES, MAX_TEXT
from otel_usage.model import AttributeValue
from otel_usage.pipeline.rows import to_text

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


class PendingSpan(NonRecordingSpan):
    """Takes up to 32 attributes; all else that a span can do is without effect.

    contrib's Flask instrumentation starts its span after the signal by which we begin, and a request without
    contrib, or one that was not sampled, gets its span when the answer is ready.
    """

    def __init__(self, context: SpanContext) -> None:
        super().__init__(context)
        self.attributes: dict[str, AttributeValue] = {}
        """What was set so far."""

    def is_recording(self) -> bool:
        """Return True: who asks before it builds attributes shall build them."""
        return True

    def set_attribute(self, key: object, value: object) -> None:
        """Keep an attribute, bounded, unless there are too many."""
        # Cleaned here: at the end of the request what it costs and raises is nobody's, and nobody looks again.
        if not isinstance(key, str) or not key:
            return
        key = to_text(key, MAX_NAME)
        if key in self.attributes or len(self.attributes) < MAX_PROPERTIES:
            self.attributes[key] = _cleaned(value)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Keep several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)


def _cleaned(value: object) -> AttributeValue:
    """Return what any exporter can encode: a number, a text, or texts."""
    if isinstance(value, (bool, float)) or (isinstance(value, int) and _MIN_INTEGER <= value <= _MAX_INTEGER):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(to_text(part, MAX_TEXT) for part in value[:MAX_PROPERTIES])
    return to_text(value, MAX_TEXT)
