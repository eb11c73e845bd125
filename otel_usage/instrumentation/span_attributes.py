"""Puts many attributes on a span at once, for a tenth of what the SDK takes."""

from __future__ import annotations

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Span

from otel_usage.model import AttributeValue


def set_attributes(span: Span, attributes: dict[str, AttributeValue]) -> None:
    """Set attributes whose names and values are known to be good, as `span.set_attributes` does.

    The SDK looks at each name and value through two dictionaries and three calls, half a microsecond each; for the
    twenty of a request that was a third of all our time in it. Where its spans are not built as this expects, or
    have limits that these attributes may meet, its own way is taken.

    Args:
        span: a recording span.
        attributes: texts that UTF-8 can encode, numbers, booleans, or tuples of these.
    """
    inner = getattr(span, "_attributes", None)
    if (
        isinstance(span, SdkSpan)
        and inner.__class__ is BoundedAttributes
        and inner.max_value_len is None
        and (inner.maxlen is None or len(inner) + len(attributes) <= inner.maxlen)
        and inner._immutable is False
        and inner._dict.__class__ is dict
    ):
        with span._lock, inner._lock:
            # Once it has ended, the SDK says so in the log and sets nothing.
            if span.end_time is None:
                inner._dict.update(attributes)
                return
    span.set_attributes(attributes)
